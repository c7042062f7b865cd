"""The trainer's own training, opened up where it calls Keras's `fit`.

What is measured is what a user runs: the trainer builds and compiles the network, makes
the pipeline and its hooks, and calls `model.fit`. Here that call is answered by the benchmark,
which may call the real `fit` with the trainer's arguments, with others, and with a clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import tensorflow as tf

from benchmarks.data import data_dir
from benchmarks.settings import Settings
from trainer.data.dataset import CdiscountData, open_dataset
from trainer.settings.config import Config
from trainer.settings.resolve import resolve
from trainer.training.train import train

Fit = Callable[..., Any]
_VALIDATION = 8  # products; nothing here measures the validation that follows each epoch


def training_data(settings: Settings, products: int | None = None) -> CdiscountData:
    """The data set of `products` products (by default `settings.products`), built if need be."""
    return open_dataset(data_dir(settings, products or settings.products))


def training_config(settings: Settings, data: CdiscountData, model: str, **changes: Any) -> Config:
    """Resolved settings of a run on all but a few training products; by default without weights."""
    values = {
        "data_dir": str(data.data_path.parents[1]),
        "train_split": f"train[:-{_VALIDATION}]",
        "validation_split": f"train[-{_VALIDATION}:]",
        "model": model,
        "weights": "none",  # they change no speed
        "image_size": settings.image_size,
        "shuffle_buffer": settings.shuffle_buffer,
    } | changes
    return resolve(Config(**values), data, frozenset(values))


def train_with(
    config: Config, data: CdiscountData, run_dir: pathlib.Path, answer: Callable[..., Any]
) -> None:
    """Trains into `run_dir` with `answer` in the place of Keras's `fit`.

    Args:
      config: resolved settings.
      data: the data set.
      run_dir: a new folder.
      answer: called as `answer(fit, model, batches, **arguments)` with the real `fit` (which takes
        the model first) and what the trainer gave it. What it returns is returned to the trainer.
    """
    fit = keras.Model.fit

    def answered(model: keras.Model, batches: tf.data.Dataset, **arguments: Any) -> Any:
        return answer(fit, model, batches, **arguments)

    with mock.patch.object(keras.Model, "fit", answered):
        train(config, run_dir, data)


class _Captured(Exception):
    """Ends the trainer at its first `fit`."""


@dataclasses.dataclass(frozen=True)
class CompiledNetwork:
    """A network as the trainer compiled it, and a batch of its pipeline held in memory."""

    model: keras.Model
    memory: tf.data.Dataset
    batch_size: int

    def step_rate(self, steps: int) -> float:
        """Training steps a second on the batch in memory, after one that warms up."""
        return timed_fit(keras.Model.fit, self.model, self.memory, steps, warm_up=1).steps_a_second


def compiled_network(config: Config, data: CdiscountData) -> CompiledNetwork:
    """The network that `train` is about to train."""
    captured: list[CompiledNetwork] = []

    def capture(fit: Fit, model: keras.Model, batches: tf.data.Dataset, **arguments: Any) -> None:
        captured.append(CompiledNetwork(model, in_memory(batches), config.batch_size))
        raise _Captured

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Captured):
        train_with(config, data, pathlib.Path(folder) / "run", capture)
    return captured[0]


def in_memory(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The first batch, again and again without end; it is never copied nor decoded again."""
    return tf.data.Dataset.from_tensors(next(iter(batches))).repeat()


@dataclasses.dataclass(frozen=True)
class Pace:
    """Of training: steps a second, and seconds of all cores together that a step keeps busy."""

    steps_a_second: float
    cpu_seconds: float


def timed_fit(
    fit: Fit,
    model: keras.Model,
    batches: tf.data.Dataset,
    steps: int,
    warm_up: int,
    **arguments: Any,
) -> Pace:
    """The pace of one call of `fit`.

    Args:
      fit: Keras's.
      model: compiled.
      batches: at least `warm_up + steps` of them.
      steps: that are timed.
      warm_up: steps before them: they trace the function, and wait for the shuffle to fill.
      **arguments: of `fit`, as the trainer gives them.
    """
    clock = _Clock(warm_up, warm_up + steps)
    arguments = {"initial_epoch": 0, "epochs": 1, "shuffle": False, "verbose": 0} | arguments
    arguments["callbacks"] = [*arguments.get("callbacks", ()), clock]
    arguments["steps_per_epoch"] = warm_up + steps
    fit(model, batches, **arguments)
    return clock.pace


class _Clock(keras.callbacks.Callback):
    """Times the steps from `first` to the end of the epoch.

    It looks at the start of steps only: a hook at their end would wait for the device each time.
    """

    def __init__(self, first: int, end: int):
        super().__init__()
        self._first, self._end = first, end
        self._start: tuple[int, float, float] | None = None
        self.pace: Pace | None = None

    def on_train_batch_begin(self, batch: int, logs=None) -> None:
        if self._start is None and batch >= self._first:
            self._start = (batch, time.perf_counter(), time.process_time())

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        # Keras has just read the metrics, so the device has finished.
        batch, start, cpu_start = self._start
        steps = self._end - batch
        self.pace = Pace(
            steps / (time.perf_counter() - start), (time.process_time() - cpu_start) / steps
        )


def steps_in(seconds: float, rate: float, least: int = 4) -> int:
    """How many steps fill about `seconds` at `rate` steps a second."""
    return max(least, round(seconds * rate))
