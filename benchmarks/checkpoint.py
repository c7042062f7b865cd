"""Measures a checkpoint: its seconds, how long training waits for it, and what it costs in all.

    python -m benchmarks.checkpoint

It measures the study's network and InceptionV3 with all layers, both with Adam and the
competition's 5270 classes. A checkpoint contains every variable of the network, the optimizer and
the running metrics; its time covers copying, writing, syncing and digesting. At the end of an epoch
the trainer writes the averaged or trained weights as well.

While a checkpoint is written, training steps go on. What it costs is the time of a number of steps
with a checkpoint among them, until both are done, less the time of as many steps alone.
"""

from __future__ import annotations

import math
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from trainer.models.networks import build_model
from trainer.models.objective import Objective
from trainer.models.optimizers import build_optimizer
from trainer.runs.checkpoint import copies_of
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.folder import RunFolder
from trainer.runs.state import Checkpoint, Position
from trainer.settings.settings import Settings
from trainer.training.step import TrainStep

CLASSES = 5270
_TIMES = 3


def trained(name: str, image_size: int) -> tuple[keras.Model, TrainStep, Callable[[int], float]]:
    """A network, its training step, and what takes a number of steps and returns their seconds."""
    model = build_model(name, CLASSES, image_size=image_size, weights="none")
    optimizer = build_optimizer("adam", learning_rate=1e-3, policy="float32")
    step = TrainStep(model, optimizer, Objective(), tf.distribute.get_strategy())
    batch = np.zeros([1, image_size, image_size, 3], np.uint8), np.zeros([1], np.int32)
    batches = step.iterator(tf.data.Dataset.from_tensors(batch).repeat())

    def train(steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            step(batches)
        step.metrics.values()  # waits for the device
        return time.perf_counter() - started

    train(3)
    return model, step, train


def measure(name: str, image_size: int, folder: pathlib.Path) -> str:
    """The lines of a network."""
    model, step, train = trained(name, image_size)
    run = RunFolder(folder)
    store, variables = CheckpointStore(run), step.variables(model)
    size = sum(array.nbytes for array in copies_of(variables))
    states, weights, waits, costs = [], [], [], []
    with CheckpointWriter(run, store) as writer:
        for number in range(_TIMES):
            started = time.perf_counter()
            store.commit(Checkpoint(Position(step=number)), copies_of(variables))
            states.append(time.perf_counter() - started)
            started = time.perf_counter()
            store.add_weights(model, number)
            weights.append(time.perf_counter() - started)
            wait, cost = meanwhile(writer, variables, train, states[-1])
            waits.append(wait)
            costs.append(cost)
    seconds, minutes = statistics.median(states), Settings().checkpoint_minutes
    return (
        f"{name:10} {image_size:4} px {size / 1e6:7.0f} MB  checkpoint {_spread(states)} = "
        f"{seconds / (60 * minutes):.2%} of {minutes:g} minutes; weights of an epoch "
        f"{_spread(weights)}\n{'':10} training waits {_spread(states)} if it writes itself, "
        f"{_spread(waits)} while a thread writes, which costs it {_spread(costs)} in all"
    )


def meanwhile(
    writer: CheckpointWriter,
    variables: list[keras.Variable],
    train: Callable[[int], float],
    checkpoint: float,
) -> tuple[float, float]:
    """(seconds that training waits for a checkpoint, seconds that it costs in all).

    Args:
      writer: writes it.
      variables: its contents.
      train: takes steps.
      checkpoint: seconds of a checkpoint by itself.
    """
    steps = math.ceil(2 * checkpoint / (train(5) / 5))
    alone = train(steps)
    started = time.perf_counter()
    writer.begin(Checkpoint(Position(epoch=1)), copies_of(variables))
    waited = time.perf_counter() - started
    train(steps)
    writer.wait()
    return waited, time.perf_counter() - started - alone


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for name, image_size in (("cnn", 180), ("inception", 180)):
            print(measure(name, image_size, pathlib.Path(folder) / name), flush=True)


if __name__ == "__main__":
    main()
