"""Loads the bases whose features a fused run takes: those of its members, with trained weights."""

from __future__ import annotations

import dataclasses

import keras

from cdisc_tfds.storage import joined
from trainer.models.networks import split_at_features
from trainer.prediction.loading import inference_precision, load_network_of
from trainer.runs.folder import RunFolder, settings_digest
from trainer.runs.run_weights import RunWeights
from trainer.settings.config import Config
from trainer.settings.fusion import FusedMember

# The weights whose features are taken.
CHECKPOINT = "best"


class MemberError(ValueError):
    """A run that a fused run is made of is gone, changed, or cannot be used."""


@dataclasses.dataclass(frozen=True)
class MemberBase:
    """A member's base.

    Attributes:
      base: uint8 [b, size, size, 3] -> features [b, f].
      config: the member's settings, with the precision that the base was built in.
      weights: those that the base has.
    """

    base: keras.Model
    config: Config
    weights: RunWeights


def load_base(
    run: RunFolder, precision: str | None = None, checkpoint: str = CHECKPOINT
) -> MemberBase:
    """Loads the base of a run.

    Args:
      run: a plain run.
      precision: dtype policy; default: as in `load_network`.
      checkpoint: `best`, as in a fused run, or `last`.

    Raises:
      RunFolderError, CheckpointError: as in `load_network`.
    """
    config = run.config
    precision = precision or inference_precision(config)
    network, weights = load_network_of(run, checkpoint, precision)
    base, _ = split_at_features(network)
    return MemberBase(base, dataclasses.replace(config, precision=precision), weights)


def member_folders(run: RunFolder) -> tuple[RunFolder, ...]:
    """The folders of a fused run's members, which must be as the run was trained with them.

    Raises:
      MemberError: if one is gone, or was trained further or anew.
    """
    fusion = run.config.fusion
    assert fusion is not None, "not a fused run"
    folders = tuple(RunFolder(joined(run.path, member.path)) for member in fusion.members)
    for folder, member in zip(folders, fusion.members, strict=True):
        if not folder.config_path.exists():
            raise MemberError(
                f"A fused run needs the runs that it is made of. {run.path} takes features of "
                f"{folder.path}, where there is no run. Put it back there, or start `python -m "
                "trainer.fuse` again with the same flags and its new place in --run_dirs."
            )
        require_same_member(run, folder, member)
    return folders


def require_same_member(
    run: RunFolder, folder: RunFolder, member: FusedMember, weights: RunWeights | None = None
) -> None:
    """Raises MemberError if the run in `folder` is no longer the `member` of a fused `run`.

    Args:
      run: the fused run.
      folder: the member's folder.
      member: what the fused run was trained with.
      weights: those that were loaded; default: those of the folder.
    """
    weights = weights or RunWeights.of(folder, CHECKPOINT)
    same_weights = weights is not None and weights.sha256 == member.sha256
    if not same_weights or settings_digest(folder.config) != member.settings_sha256:
        what = "other settings" if same_weights else "other weights"
        raise MemberError(
            "A fused run needs the runs that it is made of as they were. "
            f"{folder.path} has {what} now than when {run.path} was trained on its features "
            f"(weights {member.sha256[:12]} of epoch {member.epoch + 1}). Restore its folder, or "
            "fuse the runs anew in another --run_dir."
        )


def load_members(run: RunFolder, precision: str | None = None) -> tuple[MemberBase, ...]:
    """Loads the bases of a fused run's members.

    Arguments and errors as in `load_base` and `member_folders`.
    """
    fusion, folders = run.config.fusion, member_folders(run)
    assert fusion is not None
    bases = tuple(load_base(folder, precision) for folder in folders)
    for folder, member, base in zip(folders, fusion.members, bases, strict=True):
        require_same_member(run, folder, member, base.weights)  # it may have changed meanwhile
    return bases
