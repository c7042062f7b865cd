"""Measures a checkpoint: its seconds, and its share of the training time at the default interval.

    python -m benchmarks.checkpoint

It measures the study's network and InceptionV3 with all layers, both with Adam and the
competition's 5270 classes. A checkpoint contains every variable of the network, the optimizer and
the running metrics; its time covers writing, syncing and digesting. At the end of an epoch the
trainer writes the averaged or trained weights as well.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from trainer.models.networks import build_model
from trainer.models.objective import Objective
from trainer.models.optimizers import build_optimizer
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.folder import RunFolder
from trainer.runs.state import Checkpoint, Position
from trainer.settings.settings import Settings
from trainer.training.step import TrainStep

CLASSES = 5270
_TIMES = 5


def trained(name: str, image_size: int) -> tuple[keras.Model, TrainStep]:
    """A network and its training step, after one step."""
    model = build_model(name, CLASSES, image_size=image_size, weights="none")
    optimizer = build_optimizer("adam", learning_rate=1e-3, policy="float32")
    step = TrainStep(model, optimizer, Objective(), tf.distribute.get_strategy())
    batch = np.zeros([1, image_size, image_size, 3], np.uint8), np.zeros([1], np.int32)
    step(step.iterator(tf.data.Dataset.from_tensors(batch)))
    return model, step


def measure(name: str, image_size: int, folder: pathlib.Path) -> str:
    """One line of the table."""
    model, step = trained(name, image_size)
    store = CheckpointStore(RunFolder(folder))
    variables = step.variables(model)
    states, weights = [], []
    for number in range(_TIMES):
        started = time.perf_counter()
        store.commit(Checkpoint(Position(step=number)), variables)
        states.append(time.perf_counter() - started)
        started = time.perf_counter()
        store.add_weights(model, number)
        weights.append(time.perf_counter() - started)
    size = sum(variable.numpy().nbytes for variable in variables)
    seconds, minutes = statistics.median(states), Settings().checkpoint_minutes
    share = seconds / (60 * minutes)
    return (
        f"{name:10} {image_size:4} px {size / 1e6:7.0f} MB  checkpoint {seconds:6.2f} s "
        f"({min(states):.2f} to {max(states):.2f}) = {share:.2%} of {minutes:g} minutes; "
        f"weights of an epoch {statistics.median(weights):6.2f} s"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for name, image_size in (("cnn", 180), ("inception", 180)):
            print(measure(name, image_size, pathlib.Path(folder) / name), flush=True)


if __name__ == "__main__":
    main()
