"""Writes run folders like those of training and evaluation, with chosen numbers and no network."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

import numpy as np

from cdisc_tfds.whole_files import write_json
from tests.helpers.small_data import SmallData, small_config
from trainer.data.label_map import LabelMap
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_file import (
    Accuracies,
    Counts,
    Deduplicated,
    EvaluationResult,
    Example,
    LevelAccuracies,
    file_name,
)
from trainer.runs.folder import RunFolder
from trainer.runs.guess_file import Guesses
from trainer.runs.history import write_history
from trainer.runs.prediction_method import Method
from trainer.runs.run_weights import RunWeights
from trainer.runs.state import Checkpoint, EpochRow, RunState, WeightsFile
from trainer.runs.two_stage_file import TwoStageParts
from trainer.settings.config import Config

WEIGHTS_SHA256 = "5" * 64  # of every run's weights


def history(accuracies: list[float], stages: list[str] | None = None) -> list[EpochRow]:
    """Rows with these validation accuracies by picture; those by product are 0.1 higher."""
    return [
        EpochRow(
            epoch=epoch,
            stage=stages[epoch] if stages else "all",
            loss=1.0,
            accuracy=0.5,
            val_loss=2 - accuracy,
            val_accuracy=accuracy,
            val_product_accuracy=accuracy + 0.1,
            val_top5_accuracy=accuracy + 0.2,
            learning_rate=0.001,
            pictures_per_second=1000.0 + epoch,
            seconds=20.0 + epoch,
        )
        for epoch, accuracy in enumerate(accuracies)
    ]


def write_run(
    path: pathlib.Path,
    data: SmallData,
    rows: list[EpochRow],
    *,
    finished: bool = True,
    config: Config | None = None,
    **settings,
) -> RunFolder:
    """Writes a run of `config` (or `small_config` with `settings`) after the epochs in `rows`."""
    run = RunFolder(path)
    run.path.mkdir(parents=True)
    config = config or small_config(**{"epochs": max(1, len(rows))} | settings)
    run.config_path.write_text(config.to_json())
    shutil.copyfile(data.categories_path, run.categories_path)
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    write_json(run.label_map_path, {"digest": label_map.digest})
    write_history(run, rows)
    if rows:
        best, last = (
            WeightsFile("weights.h5", WEIGHTS_SHA256, row.epoch, row.val_loss)
            for row in (min(rows, key=lambda row: row.val_loss), rows[-1])
        )
        newest = Checkpoint(finished=finished, best=best, last=last, history=tuple(rows))
        run.state_path.write_text(RunState((newest,)).to_json())
    return run


def write_two_stage(
    path: pathlib.Path, data: SmallData, specialists: dict[int, float]
) -> RunFolder:
    """Writes a finished two-stage run.

    Args:
      path: folder of the run.
      data: the data set.
      specialists: level-1 label -> its specialist's accuracy by picture.
    """
    run = write_run(path, data, [], model="solution1_2", experiment="solution1_exp2")
    level1 = {"target": "level1", "model": "solution1_2", "experiment": "solution1_exp2"}
    write_run(path / "level1", data, history([0.6, 0.7]), **level1)
    for label, accuracy in specialists.items():
        folder = path / "specialists" / f"{label:02d}"
        write_run(folder, data, history([accuracy]), model="cnn", within_level1=label)
    TwoStageParts("level1", {}, {}).write(run)
    return run


def write_evaluation(run: RunFolder, split: str = "validation", **changes) -> None:
    """Writes an evaluation of a run of all categories; see `evaluation_of`."""
    run.evaluation.mkdir(exist_ok=True)
    evaluation_of(run, split, **changes).write(run.evaluation / file_name(split))


def evaluation_of(
    run: RunFolder,
    split: str = "validation",
    categories: tuple[CategoryRow, ...] = (),
    guesses: Guesses | None = None,
    **changes,
) -> EvaluationResult:
    """An evaluation of a run of all categories, with the values in `changes`."""
    names = run.label_map.categories.level1_names
    level = LevelAccuracies(0.8125, 0.99, 0.75, 0.98)
    measured = run.state_path.exists() or run.is_two_stage
    weights = RunWeights.of(run, "best") if measured else None
    sha256 = weights.sha256 if weights else WEIGHTS_SHA256
    method = Method(split, "best", False, "arithmetic", weights_sha256=sha256)
    counts = Counts(
        num_products=1234,
        num_pictures=2345,
        num_without_picture=0,
        num_unlabelled=0,
        num_foreign=0,
        picture=Accuracies(0.4375, 0.625, 1.5),
        product=Accuracies(0.5625, 0.6875, 1.25),
        level1=level,
        level2=dataclasses.replace(level, accuracy=0.6562),
        deduplicated=Deduplicated(1000, 0.5432, 0.6),
        level1_names=names,
        level1_confusion=np.diag(np.arange(1, len(names) + 1)).tolist(),
        examples=[],
    )
    of_method = {field.name for field in dataclasses.fields(Method)}
    method = dataclasses.replace(
        method, **{name: value for name, value in changes.items() if name in of_method}
    )
    counts = dataclasses.replace(
        counts, **{name: value for name, value in changes.items() if name not in of_method}
    )
    return EvaluationResult(method, counts, categories, guesses)


def guesses_of(true, predicted, probability=None, product_id=None) -> Guesses:
    """First guesses; by default with a probability of one half, for products 100, 101, ..."""
    size = len(true)
    return Guesses(
        np.arange(100, 100 + size) if product_id is None else np.array(product_id, np.int64),
        np.array(true, np.int32),
        np.array(predicted, np.int32),
        np.array([0.5] * size if probability is None else probability, np.float32),
    )


def example(product_id: int, category: int, predicted: int, probability: float) -> Example:
    """One example of an evaluation."""
    return Example(product_id, category, predicted, probability, category == predicted)
