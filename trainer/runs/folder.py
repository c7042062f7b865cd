"""The folder of one run: the names of all that it holds, and how each file is written.

    config.json          every setting, resolved (`Config`)
    category_names.csv   the categories in label order, as the data set had them
    label_map.json       target, number of classes and digest, to compare with a data set's
    environment.json     versions, devices and the command line
    history.json, .csv   one row an epoch
    state.json           where training stands and which checkpoint files belong to it
    checkpoints/         versioned files that state.json names; nothing else in it counts
    tensorboard/         event files
    evaluation/          one JSON a split that was evaluated

A two-stage run holds `two_stage.json` and, instead of checkpoints, one such folder for its level-1
network (`level1/`) and one for each specialist (`specialists/NN/`).
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from cdisc_tfds.categories import Categories
from trainer.data.label_map import LabelMap, LabelMapError
from trainer.settings.config import Config


class RunFolderError(ValueError):
    """A run's folder that is missing, unfinished, or another run's."""


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "wb", **kwargs: Any) -> Iterator[Any]:
    """Opens a file beside `path` that takes its name only when all was written and synced.

    If the block raises, `path` is left as it was and nothing else stays behind.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")


class RunFolder:
    """Paths of a run's folder and its small files."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self.config_path = self.path / "config.json"
        self.categories_path = self.path / "category_names.csv"
        self.label_map_path = self.path / "label_map.json"
        self.environment_path = self.path / "environment.json"
        self.history_json = self.path / "history.json"
        self.history_csv = self.path / "history.csv"
        self.state_path = self.path / "state.json"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.evaluation = self.path / "evaluation"
        self.two_stage_path = self.path / "two_stage.json"
        self.level1_path = self.path / "level1"  # of a two-stage run, finished or not

    @property
    def is_two_stage(self) -> bool:
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
        return Config.from_json(self.require().config_path.read_text(encoding="utf-8"))

    @property
    def label_map(self) -> LabelMap:
        """The map that the run was trained with; raises if the folder's own files disagree."""
        config = self.config
        label_map = LabelMap(
            Categories.from_csv(self.categories_path), config.target, config.within_level1
        )
        saved = json.loads(self.label_map_path.read_text(encoding="utf-8"))
        if saved["digest"] != label_map.digest:
            raise LabelMapError(
                f"{self.categories_path} is not the file that this run was trained with (its label "
                "map's digest differs from label_map.json). Restore the run's folder."
            )
        return label_map

    @property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch; empty before the first is finished."""
        if not self.history_json.exists():
            return []
        return json.loads(self.history_json.read_text(encoding="utf-8"))

    @property
    def state(self) -> dict[str, Any]:
        """What `trainer.runs.checkpoint` last committed."""
        if not self.state_path.exists():
            raise RunFolderError(
                f"{self.path} has no checkpoint yet: its training was stopped before the first. "
                "Start `python -m trainer.main` again with the same flags and this --run_dir."
            )
        return json.loads(self.state_path.read_text(encoding="utf-8"))

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
