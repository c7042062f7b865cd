"""The actions between two training steps, independent of each other.

A hook is called before a step with the position that training has reached. There are no hooks after
a step: reading a result there would wait for the device at every step. (The idea comes from
`clu.periodic_actions`, https://github.com/google/CommonLoopUtils.)

A device may take several steps without the host. Each hook says how many it can do without.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Protocol

import tensorflow as tf

from trainer.runs.state import CurveWindow
from trainer.terminal.signals import StopFlag
from trainer.training.step import MetricValues

FINITE_CHECK_STEPS = 10  # reading the device's counter costs a synchronisation
_PROFILE_WARM_UP = 10
_ANY = sys.maxsize  # steps until a hook is due that acts by time


@dataclasses.dataclass(frozen=True)
class Place:
    """The position of training.

    Attributes:
      epoch: counted from 0.
      step: number of finished steps of the epoch.
      first: value of `step` when this process began the epoch.
      steps: number of steps in the whole epoch.
      pictures: number of pictures in the finished steps.
      total_pictures: number of pictures in the whole epoch.
      global_step: number of finished steps of all earlier epochs and this one.
    """

    epoch: int
    step: int
    first: int
    steps: int
    pictures: int
    total_pictures: int
    global_step: int

    @property
    def is_first(self) -> bool:
        """Whether this process has not taken a step of the epoch yet."""
        return self.step == self.first


class Hook:
    """An action before each step of an epoch. The base class does nothing."""

    def before_step(self, place: Place) -> None:
        """Called before each step, or as `steps_until_due` allows; an exception ends training."""

    def steps_until_due(self, place: Place) -> int:
        """Number of steps from `place` before which the next call must come, at least 1."""
        return 1

    def close(self) -> None:
        """Called when the epoch's steps end, even because of an error."""


class FiniteCheck(Hook):
    """Checks every few steps whether the loss is still finite.

    Args:
      check: called with the place; raises if the loss is not finite.
      every: number of steps between two checks.
    """

    def __init__(self, check: Callable[[Place], None], every: int = FINITE_CHECK_STEPS):
        self._check, self._every = check, every

    def before_step(self, place: Place) -> None:
        if not place.is_first and place.step % self._every == 0:
            self._check(place)

    def steps_until_due(self, place: Place) -> int:
        return self._every - place.step % self._every


class Line(Protocol):
    """A progress line, such as `ProgressLine`."""

    def due(self) -> bool:
        """Whether `update` would print now."""

    def update(self, done: int, text: str = "") -> None:
        """Records that `done` items are finished; prints if an update is due."""

    def close(self) -> None:
        """Ends the line."""


class Points(Protocol):
    """What keeps the points of curves, such as `EventLog`."""

    def scalars(self, curve: str, values: dict[str, float], step: int) -> None:
        """Adds points to a curve."""


class Progress(Hook):
    """Shows rate, remaining time, loss and accuracy.

    Args:
      line: the progress line.
      metrics: reads the running means; called only when the line is due.
    """

    def __init__(self, line: Line, metrics: Callable[[], MetricValues]):
        self._line, self._metrics = line, metrics

    def before_step(self, place: Place) -> None:
        if not place.is_first and self._line.due():
            values = self._metrics()
            text = f"loss {values.loss:.3f}  accuracy {values.accuracy:.3f}"
            self._line.update(place.pictures, text)

    def steps_until_due(self, place: Place) -> int:
        return _ANY

    def close(self) -> None:
        self._line.close()


class Curves(Hook):
    """Draws loss, accuracy and learning rate within the epoch.

    A point is the mean since the previous point; running metrics are means since the epoch began.

    Args:
      events: receives the points.
      metrics: reads the running means.
      learning_rate: returns the learning rate of the next step.
      every: number of steps between two points.
      window: totals at the last point before this process.

    Attributes:
      window: totals at the last point so far.
    """

    def __init__(
        self,
        events: Points,
        metrics: Callable[[], MetricValues],
        learning_rate: Callable[[], float],
        every: int,
        window: CurveWindow,
    ):
        self._events, self._metrics, self._learning_rate = events, metrics, learning_rate
        self._every, self.window = every, window

    def before_step(self, place: Place) -> None:
        if place.is_first or place.step % self._every:
            return
        values, before = self._metrics(), self.window
        self.window = CurveWindow(
            place.pictures, values.loss * place.pictures, values.accuracy * place.pictures
        )
        pictures = place.pictures - before.pictures
        point = {
            "loss": (self.window.loss - before.loss) / pictures,
            "accuracy": (self.window.accuracy - before.accuracy) / pictures,
            "learning_rate": self._learning_rate(),
        }
        self._events.scalars("train", point, place.global_step)

    def steps_until_due(self, place: Place) -> int:
        return self._every - place.step % self._every


class Stop(Hook):
    """Stops training on request.

    Args:
      flag: set by a signal.
      stop: called with the place; writes a checkpoint and ends training.
    """

    def __init__(self, flag: StopFlag, stop: Callable[[Place], None]):
        self._flag, self._stop = flag, stop

    def before_step(self, place: Place) -> None:
        if not place.is_first and self._flag.raised:
            self._stop(place)

    def steps_until_due(self, place: Place) -> int:
        return _ANY


@dataclasses.dataclass
class CheckpointClock:
    """Tells when a checkpoint is due: every `steps` steps, or else every `minutes` minutes.

    Attributes:
      minutes, steps: the intervals.
      last: when the state of the last checkpoint was copied, in seconds of `time.monotonic`.
    """

    minutes: float
    steps: int
    last: float = dataclasses.field(default_factory=time.monotonic)

    def restart(self) -> None:
        """Records that the state was just copied for a checkpoint."""
        self.last = time.monotonic()

    def minutes_are_over(self) -> bool:
        """Whether a checkpoint is due by time; always False if `steps` is set."""
        return not self.steps and time.monotonic() - self.last > 60 * self.minutes

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is due after `step` steps of an epoch."""
        return step % self.steps == 0 if self.steps else self.minutes_are_over()


class Checkpoints(Hook):
    """Writes a checkpoint when one is due.

    Args:
      clock: tells when one is due.
      save: called with the place; begins to write the checkpoint.
    """

    def __init__(self, clock: CheckpointClock, save: Callable[[Place], None]):
        self._clock, self._save = clock, save

    def before_step(self, place: Place) -> None:
        if not place.is_first and self._clock.is_due(place.step):
            self._save(place)

    def steps_until_due(self, place: Place) -> int:
        every = self._clock.steps
        return every - place.step % every if every else _ANY


class CheckpointErrors(Hook):
    """Ends training soon after a checkpoint could not be written.

    Args:
      check: raises the error of a checkpoint whose writing has failed; does not wait.
    """

    def __init__(self, check: Callable[[], None]):
        self._check = check

    def before_step(self, place: Place) -> None:
        self._check()

    def steps_until_due(self, place: Place) -> int:
        return _ANY


class Profile(Hook):
    """Profiles some steps of the first epoch, after a few warm-up steps, for TensorBoard.

    Args:
      folder: folder for the trace.
      steps: number of steps to profile.
    """

    def __init__(self, folder: pathlib.Path, steps: int):
        self._folder, self._steps = folder, steps
        self._began: int | None = None
        self._running = False

    def before_step(self, place: Place) -> None:
        if place.epoch:
            return
        if self._began is None:
            if place.step >= min(_PROFILE_WARM_UP, place.steps // 2):
                tf.profiler.experimental.start(str(self._folder))
                self._began, self._running = place.step, True
        elif place.step >= self._began + self._steps:
            self.close()

    def steps_until_due(self, place: Place) -> int:
        return _ANY if place.epoch else 1

    def close(self) -> None:
        if self._running:
            self._running = False
            tf.profiler.experimental.stop()
