"""Runs the trainer's own training, but lets a benchmark take the steps of an epoch.

The benchmarks measure the code that users run: the trainer builds the network, its training step,
the pipeline and its hooks, and calls `run_steps`. Here a benchmark replaces that function: it can
take the steps on the trainer's batches or on others, and time them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import tensorflow as tf

from benchmarks.data import data_dir
from benchmarks.settings import Settings
from trainer.data.dataset import CdiscountData, open_dataset
from trainer.data.decoding import Batches
from trainer.settings import settings as trainer_settings
from trainer.settings.config import Config
from trainer.settings.resolve import resolve
from trainer.training.hooks import Hook, Place
from trainer.training.loop import EpochPlan, run_steps
from trainer.training.step import TrainStep
from trainer.training.train import train

_VALIDATION = 8  # products; the benchmarks do not measure the validation after each epoch


@dataclasses.dataclass(frozen=True)
class Pace:
    """The pace of training: steps per second, and total seconds of all cores per step."""

    steps_per_second: float
    cpu_seconds: float


@dataclasses.dataclass(frozen=True)
class Epoch:
    """The arguments of `run_steps` for an epoch; see there."""

    step: TrainStep
    batches: Batches
    plan: EpochPlan
    hooks: tuple[Hook, ...]

    @property
    def steps_left(self) -> int:
        """Steps that the trainer wants to take."""
        return self.plan.steps - self.plan.first

    def run(self, steps: int) -> None:
        """Takes the first `steps` of the remaining steps, as the trainer does."""
        run_steps(self.step, self.batches, self._shortened(steps), self.hooks)

    def timed(self, steps: int, warm_up: int) -> Pace:
        """The pace of `steps` steps.

        Args:
          steps: number of steps to time.
          warm_up: number of steps before them, which trace the function and wait until the shuffle
            buffer is full.
        """
        clock = _Clock(self.step, warm_up, steps)
        self.step.metrics.reset()
        # The last hook closes first, so the clock does not cover closing the others.
        hooks = (*self.hooks, clock)
        run_steps(self.step, self.batches, self._shortened(warm_up + steps), hooks)
        assert clock.pace is not None
        return clock.pace

    def in_memory(self) -> Epoch:
        """An endless epoch of the same step on the first batch, without hooks.

        It never copies the batch or decodes it again. After a step on the epoch's own batches,
        whose size may vary, TensorFlow need not trace the step again, nor XLA compile it.
        """
        batch = next(iter(self.batches))
        batches = tf.data.Dataset.from_tensors(batch).repeat()
        return dataclasses.replace(self, batches=batches, hooks=())

    def with_hooks(self, *hooks: Hook) -> Epoch:
        """The same epoch with these hooks."""
        return dataclasses.replace(self, hooks=hooks)

    def _shortened(self, steps: int) -> EpochPlan:
        return dataclasses.replace(self.plan, steps=self.plan.first + steps)


class _Clock(Hook):
    """Times `steps` steps after `warm_up` steps.

    It acts only before a step: reading a result after each step would wait for the device.
    """

    def __init__(self, step: TrainStep, warm_up: int, steps: int):
        self._step, self._warm_up, self._steps = step, warm_up, steps
        self._start: tuple[float, float] | None = None
        self.pace: Pace | None = None

    def before_step(self, place: Place) -> None:
        if place.step - place.first == self._warm_up:
            self._start = time.perf_counter(), time.process_time()

    def steps_until_due(self, place: Place) -> int:
        left = self._warm_up - (place.step - place.first)
        return left if left > 0 else sys.maxsize

    def close(self) -> None:
        if self._start is None:  # an error ended the epoch
            return
        self._step.metrics.values()  # waits for the device
        seconds = time.perf_counter() - self._start[0]
        cpu_seconds = time.process_time() - self._start[1]
        self.pace = Pace(self._steps / seconds, cpu_seconds / self._steps)


def training_data(settings: Settings, products: int | None = None) -> CdiscountData:
    """The data set of `products` products (default: `settings.products`), built if needed."""
    return open_dataset(data_dir(settings, products or settings.products))


def training_config(settings: Settings, data: CdiscountData, model: str, **changes: Any) -> Config:
    """Resolved settings of a run on all but a few training products; default: no weights."""
    values = {
        "data_dir": str(data.data_path.parents[1]),
        "train_split": f"train[:-{_VALIDATION}]",
        "validation_split": f"train[-{_VALIDATION}:]",
        "model": model,
        "weights": "none",  # they do not affect the speed
        "image_size": settings.image_size,
        "shuffle_buffer": settings.shuffle_buffer,
    } | changes
    return resolve(trainer_settings.Settings.of(**values), data)


def train_with(
    config: Config, data: CdiscountData, run_dir: pathlib.Path, answer: Callable[[Epoch], None]
) -> None:
    """Trains into `run_dir`, with `answer` in place of the loop over the steps.

    Args:
      config: resolved settings.
      data: the data set.
      run_dir: a new folder.
      answer: called with each epoch. Validation and checkpoint follow as if it took all steps.
    """

    def answered(
        step: TrainStep, batches: tf.data.Dataset, plan: EpochPlan, hooks: Sequence[Hook]
    ) -> None:
        answer(Epoch(step, batches, plan, tuple(hooks)))

    with mock.patch("trainer.training.training.run_steps", answered):
        train(config, run_dir, data)


class _Captured(Exception):
    """Ends the trainer before its first step."""


def first_epoch_in_memory(config: Config, data: CdiscountData) -> Epoch:
    """The first epoch of `train`, on one batch of its pipeline held in memory."""
    captured: list[Epoch] = []

    def capture(epoch: Epoch) -> None:
        captured.append(epoch.in_memory())
        raise _Captured

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Captured):
        train_with(config, data, pathlib.Path(folder) / "run", capture)
    return captured[0]


def steps_in(seconds: float, rate: float, least: int = 4) -> int:
    """The number of steps (at least `least`) that take about `seconds` at `rate` steps/s."""
    return max(least, round(seconds * rate))
