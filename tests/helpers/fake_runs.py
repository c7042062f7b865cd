"""Folders of runs as training and evaluation leave them, with chosen numbers and no network."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np

from tests.helpers.small_data import SmallData, small_config
from trainer.data.label_map import LabelMap
from trainer.runs.folder import RunFolder, write_json
from trainer.settings.config import Config


def history(accuracies: list[float], stages: list[str] | None = None) -> list[dict]:
    """Rows with these validation accuracies by picture; by product they are 0.1 higher."""
    return [
        {
            "epoch": epoch,
            "stage": stages[epoch] if stages else "all",
            "loss": 1.0,
            "accuracy": 0.5,
            "val_loss": 2 - accuracy,
            "val_accuracy": accuracy,
            "val_product_accuracy": accuracy + 0.1,
            "val_top5_accuracy": accuracy + 0.2,
            "learning_rate": 0.001,
            "pictures_per_second": 1000.0 + epoch,
            "seconds": 20.0 + epoch,
        }
        for epoch, accuracy in enumerate(accuracies)
    ]


def write_run(
    path: pathlib.Path,
    data: SmallData,
    rows: list[dict],
    *,
    finished: bool = True,
    config: Config | None = None,
    **settings,
) -> RunFolder:
    """A run of `config` (or `small_config` with `settings`) after the epochs in `rows`."""
    run = RunFolder(path)
    run.path.mkdir(parents=True)
    config = config or small_config(**{"epochs": max(1, len(rows))} | settings)
    run.config_path.write_text(config.to_json())
    shutil.copyfile(data.categories_path, run.categories_path)
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    write_json(run.label_map_path, {"digest": label_map.digest})
    write_json(run.history_json, rows)
    if rows:
        best = min(rows, key=lambda row: row["val_loss"])
        state = {"finished": finished, "best": {"epoch": best["epoch"]}, "entries": []}
        write_json(run.state_path, state)
    return run


def write_two_stage(
    path: pathlib.Path, data: SmallData, specialists: dict[int, float]
) -> RunFolder:
    """A finished two-stage run: level-1 label -> its specialist's accuracy by picture."""
    run = write_run(path, data, [], model="solution1_2", experiment="solution1_exp2")
    level1 = {"target": "level1", "model": "solution1_2", "experiment": "solution1_exp2"}
    write_run(path / "level1", data, history([0.6, 0.7]), **level1)
    for label, accuracy in specialists.items():
        folder = path / "specialists" / f"{label:02d}"
        write_run(folder, data, history([accuracy]), model="cnn", within_level1=label)
    write_json(run.two_stage_path, {"level1": "level1", "specialists": {}, "priors": {}})
    return run


def write_evaluation(run: RunFolder, split: str = "validation", **changes) -> None:
    """An evaluation of a run of all categories, with the values in `changes`."""
    run.evaluation.mkdir(exist_ok=True)
    names = run.label_map.categories.level1_names
    level = {"accuracy": 0.8125, "top5": 0.99, "picture_accuracy": 0.75, "picture_top5": 0.98}
    result = {
        "split": split,
        "checkpoint": "best",
        "flip": False,
        "mean": "arithmetic",
        "num_products": 1234,
        "num_pictures": 2345,
        "picture": {"accuracy": 0.4375, "top5": 0.625, "loss": 1.5},
        "product": {"accuracy": 0.5625, "top5": 0.6875, "loss": 1.25},
        "level1": level,
        "level2": level | {"accuracy": 0.6562},
        "deduplicated": {"num_products": 1000, "accuracy": 0.5432, "top5": 0.6},
        "level1_names": names,
        "level1_confusion": np.diag(np.arange(1, len(names) + 1)).tolist(),
        "examples": [],
    }
    write_json(run.evaluation / f"{split}.json", result | changes)


def example(product_id: int, category: int, predicted: int, probability: float) -> dict:
    """A row of an evaluation's examples."""
    return {
        "product_id": product_id,
        "category": category,
        "predicted": predicted,
        "probability": probability,
        "correct": category == predicted,
    }
