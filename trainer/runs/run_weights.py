"""The weights of a run that an evaluation, a submission or an export was made of."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping

from cdisc_tfds.whole_files import write_json
from trainer.runs.folder import RunFolder
from trainer.runs.state import DataIdentity
from trainer.runs.two_stage_file import TwoStageParts

LONGEST_NAME = 200  # bytes of a file's name; file systems allow 255


@dataclasses.dataclass(frozen=True)
class RunWeights:
    """The weights of a checkpoint of a run.

    Attributes:
      run: name of the run's folder.
      checkpoint: `best` or `last`.
      epoch: counted from 0; None for a two-stage run, whose networks each have their own.
      sha256: of the weights file; for a two-stage run, of its networks' SHA-256 in order.
      trained_on: the data that it was trained on (of a two-stage run, its level-1 network); None if
        version 0.1 trained it.
    """

    run: str
    checkpoint: str
    epoch: int | None
    sha256: str
    trained_on: DataIdentity | None = None

    @classmethod
    def of(cls, run: RunFolder, checkpoint: str) -> RunWeights | None:
        """Reads them from a run's folder; None before the first epoch is finished.

        Raises:
          RunFolderError, StateError: if the folder's files cannot be read.
        """
        name = run.path.absolute().name
        if not run.is_two_stage:
            state = run.state
            weights = state.weights(checkpoint)
            if weights is None:
                return None
            return cls(name, checkpoint, weights.epoch, weights.sha256, state.data)
        parts = TwoStageParts.read(run)
        digest, trained_on = hashlib.sha256(), RunFolder(run.path / parts.level1).state.data
        for folder in (parts.level1, *parts.specialists.values()):
            weights = RunFolder(run.path / folder).state.weights(checkpoint)
            if weights is None:
                return None
            digest.update(weights.sha256.encode())
        return cls(name, checkpoint, None, digest.hexdigest(), trained_on)


def write_made_from(path: pathlib.Path, facts: Mapping[str, object]) -> pathlib.Path:
    """Writes PATH.made_from.json, which says what the file or folder `path` was made of.

    Returns:
      The path of the JSON file.
    """
    beside = path.with_name(f"{path.name}.made_from.json")
    write_json(beside, facts)
    return beside


def fits_beside(path: pathlib.Path) -> bool:
    """Whether the name of `path` leaves room for that of the file beside it."""
    return len(os.fsencode(path.name)) <= LONGEST_NAME
