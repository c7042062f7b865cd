"""A run's folder: the names of its files, and how to read them.

    config.json          every setting, resolved (`trainer.settings.config`)
    category_names.csv   the categories in label order, as the data set had them
    label_map.json       target, number of classes and digest, to compare with a data set's
    environment.json     versions, devices and the command line
    state.json           position of training, history, and the checkpoint files in use
    history.json, .csv   a copy of the history, for people and other programs
    checkpoints/         versioned files that state.json names; others are ignored
    tensorboard/         event files
    evaluation/          per evaluated split: a JSON, a CSV of categories, the first guesses
    calibration.json     temperatures of its probabilities (`trainer.runs.calibration_file`)
    predictions/         kept probabilities of pictures; may be deleted at any time

A two-stage run has `two_stage.json` and, instead of checkpoints, one such folder for its level-1
network (`level1/`) and one per specialist (`specialists/NN/`).
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

from absl import logging

from cdisc_tfds.categories import Categories
from cdisc_tfds.storage import path_of
from trainer.data.label_map import LabelMap, LabelMapError
from trainer.runs.state import EpochRow, RunState, StateError
from trainer.settings.config import Config
from trainer.settings.settings import RunOptions
from trainer.terminal.option import options


class RunFolderError(ValueError):
    """A run's folder is missing, unfinished, or belongs to another run."""


class RunFolder:
    """The paths in a run's folder, and its small files."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = path_of(path)
        self.config_path = self.path / "config.json"
        self.categories_path = self.path / "category_names.csv"
        self.label_map_path = self.path / "label_map.json"
        self.environment_path = self.path / "environment.json"
        self.history_json = self.path / "history.json"
        self.history_csv = self.path / "history.csv"
        self.state_path = self.path / "state.json"
        self.previous_state_path = self.path / "state.previous.json"
        self.lock_path = self.path / "training.lock"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.evaluation = self.path / "evaluation"
        self.predictions = self.path / "predictions"
        self.two_stage_path = self.path / "two_stage.json"
        self.level1_path = self.path / "level1"  # of a two-stage run, finished or not

    @property
    def has_state(self) -> bool:
        """Whether training has written a checkpoint; a lost `state.json` has a predecessor."""
        return self.state_path.exists() or self.previous_state_path.exists()

    @property
    def is_two_stage(self) -> bool:
        """Whether this is a finished two-stage run."""
        return self.two_stage_path.exists()

    def require(self) -> RunFolder:
        """Returns itself; raises RunFolderError if there is no run here."""
        if not self.config_path.exists():
            raise RunFolderError(
                "A run's folder holds config.json, which `python -m trainer.main --run_dir=DIR` "
                f"writes. Received: {self.path}, which "
                + ("has none." if self.path.exists() else "does not exist.")
            )
        return self

    @property
    def config(self) -> Config:
        """The run's settings.

        Raises:
          RunFolderError: if there is no run, or its settings are not those it was trained with.
        """
        text = self.require().config_path.read_text(encoding="utf-8", errors="replace")
        config = Config.from_json(text, self.config_path)
        if self.has_state:
            trained = self.state.settings_sha256
            if trained is not None and trained != settings_digest(config):
                raise RunFolderError(
                    f"{self.config_path} does not hold the settings that this run was trained with "
                    "(their digest differs from the one in state.json): the file was edited. "
                    "Restore it."
                )
        return config

    @property
    def begun(self) -> Config | None:
        """The settings of a run that has a checkpoint to resume from; None for a new run."""
        return self.config if self.config_path.exists() and self.has_state else None

    @property
    def own_categories(self) -> Categories:
        """The categories of the data set that the run started on.

        Raises:
          RunFolderError: if their file is missing.
        """
        try:
            return Categories.from_csv(self.categories_path)
        except FileNotFoundError:
            raise RunFolderError(
                f"{self.categories_path} must hold the categories that the run was trained on. It "
                "is missing. Copy it from the folder of the data set's shards: label_map.json "
                "tells whether it is the same file."
            ) from None

    @property
    def label_map(self) -> LabelMap:
        """The run's label map; raises LabelMapError if the files in the folder disagree."""
        config = self.config
        label_map = LabelMap(self.own_categories, config.target, config.within_level1)
        try:
            saved = json.loads(self.label_map_path.read_text(encoding="utf-8"))["digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabelMapError(
                f"{self.label_map_path} must say which classes the run was trained with. It cannot "
                f"be read ({type(error).__name__}). Start the command that made the run again, or "
                "restore the file."
            ) from error
        if saved != label_map.digest:
            raise LabelMapError(
                f"{self.categories_path} is not the file that this run was trained with (its label "
                "map's digest differs from label_map.json). Restore the run's folder."
            )
        return label_map

    @property
    def history(self) -> tuple[EpochRow, ...]:
        """One row per finished epoch, from state.json; empty before the first."""
        return self.state.newest.history if self.has_state else ()

    @property
    def state(self) -> RunState:
        """The last committed state; if it is damaged or lost, the previous one, with a warning.

        Raises:
          RunFolderError: if there is no checkpoint yet.
          StateError: if neither the state nor the previous one can be read, or a newer version of
            the project wrote the state.
        """
        if not self.has_state:
            raise RunFolderError(
                f"{self.path} has no checkpoint yet: its training was stopped before the first. "
                "Start `python -m trainer.main` again with the same flags and this --run_dir."
            )
        try:
            return _read_state(self.state_path)
        except StateError as error:
            if error.newer:
                raise
            damaged = error
        if self.previous_state_path.exists():
            logging.warning("%s Going back to %s.", damaged, self.previous_state_path.name)
            try:
                return _read_state(self.previous_state_path)
            except StateError as error:
                damaged = error
        raise StateError(
            f"{damaged} Restore the run's folder from a copy, or start anew with another --run_dir."
        )

    def require_categories(self, categories: Categories) -> None:
        """Raises LabelMapError unless a data set's categories are this run's, in the same order."""
        ours = self.label_map
        theirs = LabelMap(categories, ours.target, ours.within_level1)
        if ours.digest != theirs.digest:
            raise LabelMapError(
                "A run can only be used with a data set that has the same categories in the same "
                f"order. The run {self.path} has {ours.categories.num_categories} categories "
                f"(digest {ours.digest[:12]}), the data set has {theirs.categories.num_categories} "
                f"(digest {theirs.digest[:12]}). Choose the data set that the run was trained on "
                "with --data_dir."
            )


def settings_digest(config: Config) -> str:
    """SHA-256 of the settings that define a run: all except those that may change on resume.

    It leaves out a setting that 0.2 did not have while it is at its default, so that a new setting
    does not change the digests of older runs.
    """
    described = options(RunOptions)
    values = {
        name: value
        for name, value in config.of_result().items()
        if not ((one := described.get(name)) and one.since and value == one.default)
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _read_state(path: pathlib.Path) -> RunState:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise StateError(f"{path} is missing, although training has written it.") from None
    return RunState.from_json(text, path)
