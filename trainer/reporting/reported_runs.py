"""Reads the runs of a report: settings, history, best epoch, evaluations, and what is missing."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Iterable, Sequence

from cdisc_tfds.storage import absolute_path
from trainer.data.label_map import LabelMap
from trainer.reporting.run_styles import Style, style_of
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.prediction_method import Method
from trainer.runs.run_weights import RunWeights
from trainer.runs.state import EpochRow, RunState
from trainer.settings.config import Config
from trainer.settings.experiments import EXPERIMENTS, Experiment


@dataclasses.dataclass(frozen=True)
class Validated:
    """Validation accuracies, 0 to 1; `accuracy` and `top5_accuracy` are by picture."""

    accuracy: float
    product_accuracy: float
    top5_accuracy: float


@dataclasses.dataclass(frozen=True, eq=False)
class ReportedRun:
    """A run as it was when the report read it.

    Attributes:
      name: the end of its path, long enough to differ from the report's other runs.
      style: how it looks in all charts and tables.
      folder: its folder.
      config, label_map, history: as in the folder.
      state: the last saved state; None before the first checkpoint.
      evaluations: the contents of `evaluation/*.json`; the one of its validation split comes first.
      specialists: the second stage of a two-stage run, in the order of the level-1 labels.
      is_two_stage: whether this is a whole two-stage run, which has no history of its own.
      is_part: whether this is a network of a two-stage run.
    """

    name: str
    style: Style
    folder: RunFolder
    config: Config
    label_map: LabelMap
    history: Sequence[EpochRow]
    state: RunState | None
    evaluations: Sequence[EvaluationResult]
    specialists: Sequence[ReportedRun] = ()
    is_two_stage: bool = False
    is_part: bool = False

    @property
    def target(self) -> tuple[str, int, str]:
        """A key that is equal for runs with the same classes, whose accuracies are comparable."""
        config = self.config
        within = -1 if config.within_level1 is None else config.within_level1
        return (config.target, within, self.label_map.digest)

    @property
    def target_title(self) -> str:
        """The run's classes in words, e.g. `Level 1 (49 classes)`."""
        config, label_map = self.config, self.label_map
        title = {"category": "Categories", "level1": "Level 1", "level2": "Level 2"}[config.target]
        if config.within_level1 is not None:
            title += f" within {self.level1_name}"
        return f"{title} ({label_map.num_classes:,} classes)"

    @property
    def level1_name(self) -> str:
        """The level-1 category of a specialist; empty for other runs."""
        label = self.config.within_level1
        return "" if label is None else self.label_map.categories.level1_names[label]

    @property
    def experiment(self) -> Experiment | None:
        """The experiment of the study that the run repeats, with its published results."""
        # A two-stage run's preset is that of its level-1 network alone.
        name = None if self.is_two_stage else self.config.experiment
        return None if name is None else EXPERIMENTS[name]

    @property
    def best_epoch(self) -> int | None:
        """The epoch (from 0) with the lowest validation loss, whose weights the run keeps."""
        best = self.state.best if self.state else None
        return best.epoch if best else None

    @property
    def best_row(self) -> EpochRow | None:
        """The history's row of the best epoch; None before the first epoch is finished."""
        return next((row for row in self.history if row.epoch == self.best_epoch), None)

    @functools.cached_property
    def validation(self) -> Validated | None:
        """Accuracies of the best epoch; None if nobody has measured them.

        A two-stage run has them after an evaluation of its weights on its validation split.
        """
        if not self.is_two_stage:
            row = self.best_row
            if row is None:
                return None
            return Validated(row.val_accuracy, row.val_product_accuracy, row.val_top5_accuracy)
        for result in self.evaluations:
            method = result.method
            if method.split == self.config.validation_split and not self.is_stale(method):
                picture, product = result.counts.picture, result.counts.product
                return Validated(picture.accuracy, product.accuracy, picture.top5_accuracy)
        return None

    def is_stale(self, method: Method) -> bool:
        """Whether an evaluation measured other weights than the run has now.

        False if the weights are not known: for evaluations by versions up to 0.1, and for an
        unfinished two-stage run.
        """
        if method.weights_sha256 is None or (self.state is None and not self.folder.is_two_stage):
            return False
        weights = RunWeights.of(self.folder, method.checkpoint)
        return weights is None or weights.sha256 != method.weights_sha256

    def last_stage_median(self, column: str) -> float | None:
        """The median of a history column over the last stage's epochs; stages differ in speed."""
        if not self.history:
            return None
        last = self.history[-1].stage
        return statistics.median(getattr(row, column) for row in self.history if row.stage == last)

    @property
    def can_be_evaluated(self) -> bool:
        """Whether the run has all the weights that an evaluation needs."""
        return not self.shortfall if self.is_two_stage else self.best_row is not None

    @property
    def shortfall(self) -> str:
        """How the run falls short of its full training, as a clause; empty if it does not."""
        if self.is_two_stage:
            if self.folder.is_two_stage:
                return ""
            done = sum(not part.shortfall for part in self.specialists)
            return f"unfinished, {done} specialists so far"
        epochs = f"{len(self.history)} of {self.config.epochs} epochs"
        if self.state is None:
            return "unfinished, no checkpoint yet"
        if not self.state.finished:
            return f"unfinished, {epochs}"
        return f"stopped early, {epochs}" if len(self.history) < self.config.epochs else ""


def load_runs(run_dirs: Iterable[str | os.PathLike[str]]) -> list[ReportedRun]:
    """Reads the folders of runs; a two-stage run yields itself and its level-1 network.

    Raises:
      RunFolderError: if a folder contains no run, or was given twice.
      LabelMapError: if the files of a folder contradict each other.
      EvaluationFileError: if an evaluation is damaged, or a newer version wrote it.
    """
    paths = [absolute_path(path) for path in run_dirs]
    if not paths:
        raise RunFolderError(
            "A report needs at least one run. Received: none. Name the runs' folders: "
            "`python -m trainer.report runs/* --output=report.html`."
        )
    for path in paths:
        if paths.count(path) > 1:
            raise RunFolderError(f"A report names each run once. Received twice: {path}.")
    runs = [
        run for name, path in zip(short_names(paths), paths) for run in _load(name, RunFolder(path))
    ]
    return [dataclasses.replace(run, style=style_of(place)) for place, run in enumerate(runs)]


def by_target(runs: Sequence[ReportedRun]) -> list[list[ReportedRun]]:
    """Groups of runs with the same classes, in their order; runs of categories come first."""
    groups: dict[tuple[str, int, str], list[ReportedRun]] = {}
    for run in runs:
        groups.setdefault(run.target, []).append(run)
    return [groups[target] for target in sorted(groups)]  # "category" < "level1" < "level2"


def short_names(paths: Sequence[pathlib.Path]) -> list[str]:
    """The ends of different paths, just long enough that all differ."""
    names: list[str] = []
    for length in range(1, max((len(path.parts) for path in paths), default=0) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names


def _load(name: str, folder: RunFolder) -> list[ReportedRun]:
    run = _load_network(name, folder)
    level1 = RunFolder(folder.path / "level1")
    if not (folder.is_two_stage or level1.path.is_dir()):
        return [run]
    specialists = [
        _load_network(f"{name}/{path.name}", RunFolder(path))
        for path in sorted(folder.path.glob("specialists/*"))
        if (path / "label_map.json").exists()
    ]
    whole = dataclasses.replace(run, specialists=specialists, is_two_stage=True)
    if not level1.label_map_path.exists():
        return [whole]
    return [whole, dataclasses.replace(_load_network(f"{name}/level1", level1), is_part=True)]


def _load_network(name: str, folder: RunFolder) -> ReportedRun:
    config = folder.config
    if not folder.label_map_path.exists():
        raise RunFolderError(
            f"{folder.path} was stopped before training began: it has no label_map.json yet. Start "
            "the command that made it again, or leave it out of the report."
        )
    state = folder.state if folder.has_state else None  # once: it changes during training
    evaluations = [EvaluationResult.read(path) for path in sorted(folder.evaluation.glob("*.json"))]
    evaluations.sort(key=lambda result: result.method.split != config.validation_split)
    return ReportedRun(
        name,
        style_of(0),  # `load_runs` replaces it
        folder,
        config,
        folder.label_map,
        state.newest.history if state else (),
        state,
        evaluations,
    )
