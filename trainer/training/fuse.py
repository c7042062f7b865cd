"""Prepares a fused run: a network over the features that finished runs give a product's pictures.

    python -m trainer.fuse --run_dirs=runs/a,runs/b --run_dir=runs/fused

The members' networks stay as they are. `trainer.training.train.train` then trains the fused run
like any other, on features that are computed once and kept.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from cdisc_tfds.storage import real_path, relative_path
from trainer.data.dataset import CdiscountData, products_in_common
from trainer.models.fusion_table import FUSION, HEADS
from trainer.models.optimizer_table import OPTIMIZERS
from trainer.prediction.member_bases import (
    CHECKPOINT,
    MemberError,
    load_base,
    require_same_member,
)
from trainer.prediction.priors import training_splits
from trainer.runs.folder import RunFolder, settings_digest
from trainer.runs.run_weights import RunWeights
from trainer.settings.config import Config, ConfigError
from trainer.settings.fusion import FusedMember, Fusion
from trainer.settings.fusion_options import FusionOptions
from trainer.settings.lanes import require_lanes
from trainer.settings.machine_options import MachineOptions
from trainer.terminal.option import OptionError, options, require_allowed


def fusion_config(
    settings: FusionOptions,
    folders: Sequence[str],
    run_dir: str,
    data: CdiscountData,
    machines: int = 1,
) -> Config:
    """Resolves the settings of a fused run.

    Args:
      settings: as the user gave them.
      folders: the runs whose features are joined.
      run_dir: folder of the fused run, new or to be continued.
      data: the data set.
      machines: number of machines to train on.

    Raises:
      MemberError: if a run cannot be a member, or is not as it was when the fused run began.
      ConfigError: if a setting has an invalid value, or the members' splits differ and none is
        given.
      RunFolderError, LabelMapError, CheckpointError: if a folder is not a run's, the data set has
        other categories, or a checkpoint cannot be read.
    """
    _require_consistent(settings)
    runs = tuple(RunFolder(folder).require() for folder in folders)
    fused = RunFolder(run_dir)
    _require_members(runs, fused)
    runs[0].require_categories(data.categories)
    train_split = settings.train_split or _common("train_split", runs)
    validation_split = settings.validation_split or _common("validation_split", runs)
    _require_unseen(validation_split, runs, data)
    begun = fused.begun.fusion if fused.begun is not None else None
    fusion = Fusion(
        members=_members(runs, fused, begun),
        units=settings.units,
        join=settings.join,
        picture_dropout=settings.picture_dropout,
        flip=settings.flip,
    )
    config = _config(settings, runs, train_split, validation_split, fusion)
    lanes = machines if fused.begun is None else fused.begun.lanes
    config = dataclasses.replace(config, lanes=lanes)
    require_lanes(config, machines)
    return config


def _config(
    settings: FusionOptions,
    runs: Sequence[RunFolder],
    train_split: str,
    validation_split: str,
    fusion: Fusion,
) -> Config:
    first, optimizer = runs[0].config, OPTIMIZERS[settings.optimizer]
    values = {name: getattr(settings, name) for name in options(MachineOptions)}
    values["eval_batch_size"] = settings.eval_batch_size or max(64, settings.batch_size)
    return Config(
        **values,
        data_dir=settings.data_dir or first.data_dir,
        train_split=train_split,
        validation_split=validation_split,
        target=first.target,
        within_level1=first.within_level1,
        model=FUSION,
        weights="none",
        trainable="all",
        image_size=max(run.config.image_size for run in runs),
        input_range=None,
        augment="none",
        precision="float32",
        dropout=settings.dropout,
        optimizer=settings.optimizer,
        learning_rate=(
            optimizer.learning_rate if settings.learning_rate is None else settings.learning_rate
        ),
        fine_tune_learning_rate=0.0,
        schedule=settings.schedule,
        warmup_epochs=0.0,
        weight_decay=settings.weight_decay,
        label_smoothing=settings.label_smoothing,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        early_stopping=settings.early_stopping,
        ema_momentum=settings.ema_momentum,
        seed=settings.seed,
        fusion=fusion,
    )


def _require_consistent(settings: FusionOptions) -> None:
    try:
        require_allowed(options(FusionOptions).values(), settings)
    except OptionError as error:
        raise ConfigError(str(error)) from None
    if settings.join == "gated" and settings.units % HEADS:
        raise ConfigError(
            f"--units must be a multiple of {HEADS} for --join=gated. Received: {settings.units}."
        )


def _require_members(runs: Sequence[RunFolder], fused: RunFolder) -> None:
    """Raises MemberError unless the runs can be fused into a run in another folder."""
    place = real_path(fused.path)
    first = runs[0]
    for run in runs:
        own = real_path(run.path)
        if place == own or place.startswith(own + os.sep):
            raise MemberError(
                "--run_dir is the folder of the fused run, not one of the runs that it is made of. "
                f"Received: {fused.path}. Choose a new folder."
            )
        if run.is_two_stage or run.level1_path.exists():
            raise MemberError(
                "Only runs of one network can be fused: they have one set of features. "
                f"{run.path} is a two-stage run. Leave it out, or average it with others: "
                "--run_dirs of `python -m trainer.evaluate`."
            )
        if run.config.fusion is not None:
            raise MemberError(
                f"Only runs that take pictures can be fused. {run.path} is a fused run. Name the "
                "runs that it is made of."
            )
        if not (run.has_state and run.state.finished):
            raise MemberError(
                f"Only finished runs can be fused. The training of {run.path} is not. Start "
                "`python -m trainer.main` again with its flags and its --run_dir, or leave it out."
            )
        if run.label_map.digest != first.label_map.digest:
            raise MemberError(
                "Runs that are fused must tell the same classes apart. Received: "
                f"{_classes(first)} and {_classes(run)}. Leave one of them out."
            )


def _classes(run: RunFolder) -> str:
    label_map = run.label_map
    return (
        f"{run.path} with {label_map.num_classes} classes of --target={label_map.target} (digest "
        f"{label_map.digest[:12]})"
    )


def _common(name: str, runs: Sequence[RunFolder]) -> str:
    """The split of that name that all runs have."""
    specs = {str(run.path): getattr(run.config, name) for run in runs}
    if len(set(specs.values())) > 1:
        raise ConfigError(
            f"The runs have no common --{name}. Received: "
            f"{', '.join(f'{path}: {spec}' for path, spec in specs.items())}. Name the products "
            f"with --{name}."
        )
    return next(iter(specs.values()))


def _require_unseen(spec: str, runs: Sequence[RunFolder], data: CdiscountData) -> None:
    """Raises MemberError if a run was trained on products to validate on."""
    validation = data.split(spec)
    for run in runs:
        for training in training_splits(data, run.config) or ():
            if number := len(products_in_common(validation, training)):
                raise MemberError(
                    "A fused run is validated on products that none of its runs was trained on. "
                    f"{run.path} was trained on {training.spec}, which shares {number:,} products "
                    f"with {spec}. Choose another --validation_split, or leave the run out."
                )


def _members(
    runs: Sequence[RunFolder], fused: RunFolder, begun: Fusion | None
) -> tuple[FusedMember, ...]:
    """What the fused run is made of; loads the networks of a new run, to count their features."""
    members: list[FusedMember] = []
    for number, run in enumerate(runs):
        earlier = begun.members[number] if begun and number < len(begun.members) else None
        path = relative_path(run.path, fused.path)
        if earlier is not None and earlier.path == path:
            require_same_member(fused, run, earlier)
        weights = RunWeights.of(run, CHECKPOINT)
        if earlier is not None and weights is not None and earlier.sha256 == weights.sha256:
            size = earlier.features
        else:
            base = load_base(run)
            weights, size = base.weights, int(base.base.output_shape[-1])
        for other, one in zip(runs, members, strict=False):
            if one.sha256 == weights.sha256:
                raise MemberError(
                    "Runs that are fused must have different weights. Received the same ones in "
                    f"{other.path} and {run.path}. Leave one of them out."
                )
        config = run.config
        members.append(
            FusedMember(
                path=path,
                sha256=weights.sha256,
                epoch=weights.epoch or 0,
                settings_sha256=settings_digest(config),
                model=config.model,
                train_split=config.train_split,
                features=size,
            )
        )
    return tuple(members)
