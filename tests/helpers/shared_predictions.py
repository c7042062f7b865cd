"""A worker that predicts with a finished run, and fuses it, together with others.

    TF_CONFIG=... python -m tests.helpers.shared_predictions RUN FOLDER

It calls what the commands call, because starting TensorFlow anew for each takes longer. The chief
writes what `predict` lists to FOLDER, and the fused run to FOLDER/fused.
"""

from __future__ import annotations

import pathlib
import sys

from trainer.cluster.environment import cluster_of
from trainer.cluster.workers import ALONE, Workers, join
from trainer.data.dataset import open_dataset
from trainer.prediction.evaluation import evaluate_runs
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.submission import submit_runs
from trainer.runs.folder import RunFolder
from trainer.settings.fusion_options import FusionOptions
from trainer.training.fuse import fusion_config
from trainer.training.train import train

OPTIONS = PredictionOptions(batch_size=7, mean="auto", flip=True)


def predict(run: pathlib.Path, folder: pathlib.Path, workers: Workers = ALONE) -> None:
    """Writes an evaluation and a submission of a run."""
    selection, name = RunSelection(run_dir=str(run)), run.name
    how = PredictionOptions(batch_size=7) if name == "fused" else OPTIONS
    result = evaluate_runs(selection, None, how, calibrate=True, workers=workers)
    if workers.is_chief:
        result.write(folder / f"{name}.json")
    submit_runs(selection, folder / f"{name}.csv", options=how, workers=workers)


def fuse(run: pathlib.Path, fused: pathlib.Path, workers: Workers = ALONE) -> RunFolder:
    """Trains a fused run of a single member."""
    settings = FusionOptions(units=16, epochs=3, batch_size=8, dropout=0, join="max")
    data = open_dataset(RunFolder(run).config.data_dir)
    config = fusion_config(settings, [str(run)], str(fused), data, 2)
    return train(config, fused, data, workers=workers)


def main(run: pathlib.Path, folder: pathlib.Path) -> None:
    workers = join(cluster_of(), 600)
    predict(run, folder, workers)
    fuse(run, folder / "fused", workers)
    predict(folder / "fused", folder, workers)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
