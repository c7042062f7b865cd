"""Trains all of Solution 1: a network for level 1, then a specialist per level-1 category.

    python -m trainer.two_stage --run_dir=runs/two-stage --model=solution1_2 --epochs=10

Trains the networks one after another, each in its own run folder (`level1/`, `specialists/NN/` by
level-1 label). The same command again skips the finished networks and continues the interrupted
one. Evaluation, submission, report and serving treat the result as one network: p(category) =
p(level 1) * p(category | level 1).

A specialist needs at least two categories with training pictures, and a validation picture. For the
other level-1 categories, p(category | level 1) is fixed: the share of training products, with one
added to each category's count (so 1 for a single category, and uniform without products).
"""

from __future__ import annotations

import dataclasses
import gc
import os
import sys
from typing import Any

import keras
import numpy as np

from trainer.data.dataset import CdiscountData, Split
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.two_stage_file import TwoStageParts
from trainer.settings.config import Config
from trainer.settings.resolve import resolve, with_preset
from trainer.settings.settings import Settings
from trainer.training.admission import open_run_folder, sole_writer
from trainer.training.train import train


class TwoStageError(ValueError):
    """Settings that a two-stage run cannot have."""


def needs_specialist(
    training: Split, validation: Split, level1_of_category: np.ndarray
) -> np.ndarray:
    """Which level-1 categories get a specialist: bool [level-1 categories]."""
    num_level1 = int(level1_of_category.max()) + 1
    trained = np.unique(_categories_with_pictures(training))
    validated = np.unique(level1_of_category[_categories_with_pictures(validation)])
    enough = np.bincount(level1_of_category[trained], minlength=num_level1) >= 2
    return enough & np.isin(np.arange(num_level1), validated)


def _categories_with_pictures(split: Split) -> np.ndarray:
    index = split.index
    return index.category[(index.category >= 0) & (index.num_pictures > 0)]


def fixed_second_stage(training: Split, inside: np.ndarray) -> np.ndarray:
    """p(category | level 1) of the categories `inside`, which have no specialist: float64 [n]."""
    category = training.index.category
    counts = 1 + np.bincount(category[category >= 0], minlength=inside.max() + 1)[inside]
    return counts / counts.sum()


def train_two_stage(
    level1_config: Config,
    specialist_config: Config,
    run_dir: str | os.PathLike[str],
    data: CdiscountData,
) -> RunFolder:
    """Trains, or continues, all networks of a two-stage run.

    Args:
      level1_config: resolved settings of the first network; `target` is `level1`.
      specialist_config: resolved settings of every specialist, except `within_level1`.
      run_dir: folder of the run.
      data: the data set.

    Raises:
      RunFolderError: if `run_dir` holds a plain run, or another process trains in it.
      Also the errors of `trainer.training.train.train`.
    """
    run = RunFolder(run_dir)
    if run.has_state:
        raise RunFolderError(
            f"--run_dir must be a new folder, or a two-stage run to continue. {run.path} holds a "
            "run of one network."
        )
    with sole_writer(run):
        open_run_folder(
            dataclasses.replace(level1_config, target="category", chunks=None), run.path, data
        )
        _train_parts(level1_config, specialist_config, run, data)
    return run


def _train_parts(
    level1_config: Config, specialist_config: Config, run: RunFolder, data: CdiscountData
) -> None:
    training = data.split(specialist_config.train_split)
    validation = data.split(specialist_config.validation_split)
    level1_of_category = data.categories.level1
    needed = needs_specialist(training, validation, level1_of_category)
    _say("Level 1", f"{len(needed)} categories", 0, needed)
    train(level1_config, run.level1_path, data)
    specialists: dict[int, str] = {}
    priors: dict[int, list[float]] = {}
    for label, name in enumerate(data.categories.level1_names):
        inside = np.flatnonzero(level1_of_category == label)
        if not needed[label]:
            priors[label] = fixed_second_stage(training, inside).tolist()
            continue
        _forget_last_network()
        specialists[label] = f"specialists/{label:02d}"
        _say(name, f"{len(inside)} categories", len(specialists), needed)
        config = dataclasses.replace(specialist_config, within_level1=label)
        train(config, run.path / specialists[label], data)
    TwoStageParts(run.level1_path.name, specialists, priors).write(run)


def _say(name: str, what: str, number: int, needed: np.ndarray) -> None:
    print(f"[{number}/{int(needed.sum())} specialists] {name}: {what}", file=sys.stderr)


def _forget_last_network() -> None:
    """Frees what Keras keeps of finished networks, of which there may be fifty."""
    keras.backend.clear_session()
    gc.collect()


def stage_configs(
    settings: Settings,
    data: CdiscountData,
    *,
    specialist_model: str | None = None,
    specialist_epochs: int | None = None,
) -> tuple[Config, Config]:
    """Resolved settings of the level-1 network and of the specialists.

    Args:
      settings: as the user gave them, for the networks of both stages.
      data: the data set.
      specialist_model: network of the specialists; default: the same.
      specialist_epochs: number of epochs of the specialists; default: the same.

    Raises:
      TwoStageError: if `--target` was given and is not level1, or there are pseudo labels.
      ConfigError: as in `trainer.settings.resolve.resolve`.
    """
    if "target" in settings.given and settings.target != "level1":
        raise TwoStageError(
            "A two-stage run tells level-1 categories apart first, then the categories within "
            f"each. Received: --target={settings.target}. Leave --target out."
        )
    settings = with_preset(settings)
    if settings.pseudo_label_split is not None:
        raise TwoStageError(
            "A two-stage run has no pseudo labels: a specialist would name every product, also "
            "those of other level-1 categories. Received: --pseudo_label_split="
            f"{settings.pseudo_label_split}. Leave it out."
        )
    level1 = resolve(_with(settings, target="level1"), data)
    specialist = _with(
        dataclasses.replace(settings, experiment=None),
        target="category",
        model=specialist_model or settings.model,
        epochs=specialist_epochs or settings.epochs,
        train_split=level1.train_split,
        validation_split=level1.validation_split,
    )
    return level1, resolve(specialist, data)


def _with(settings: Settings, **changes: Any) -> Settings:
    """`settings` with `changes`, which a preset does not override."""
    return dataclasses.replace(settings, **changes, given=settings.given | set(changes))
