"""What several workers do between the same two steps: stop, save, show progress.

A signal reaches one worker, and each has a clock of its own. Yet a checkpoint and the running
metrics are sums over all, which all must take at the same step. So the workers tell each other now
and then what they know, and act on what all know.
"""

from __future__ import annotations

import time

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.cluster.workers import Workers
from trainer.terminal.signals import StopFlag
from trainer.training.hooks import CheckpointClock, Hook, Place

# At most as far apart as the checks for non-finite losses; steps of a second and more: each.
_MOST_STEPS, _SECONDS = 10, 1.0


class Agreement(Hook):
    """Asks all workers whether to stop, to save or to show progress.

    Args:
      workers: the workers.
      stop: whether a signal has reached this one.
      clock: tells the chief when a checkpoint is due.
      line: the chief's progress line.

    Attributes:
      stop_asked, checkpoint_due, progress_due: whether the workers have just agreed on it.
    """

    def __init__(
        self, workers: Workers, stop: StopFlag, clock: CheckpointClock, line: ProgressLine
    ):
        self._workers, self._stop, self._clock, self._line = workers, stop, clock, line
        self._last = (0, time.monotonic())  # step and time
        self._next: int | None = None
        self.stop_asked = self.checkpoint_due = self.progress_due = False

    def before_step(self, place: Place) -> None:
        self.stop_asked = self.checkpoint_due = self.progress_due = False
        now = time.monotonic()
        if self._next is None or place.is_first:
            self._last, self._next = (place.step, now), place.step + 1
        if place.step < self._next:
            return
        chief = float(self._workers.is_chief)
        step_seconds = (now - self._last[1]) / max(1, place.step - self._last[0])
        values = [
            float(self._stop.raised),
            chief * self._clock.minutes_are_over(),
            chief * self._line.due(),
            chief * step_seconds,
        ]
        sums = self._workers.sums(np.array(values))
        self.stop_asked, self.checkpoint_due, self.progress_due = (sums[:3] > 0).tolist()
        steps = int(np.clip(_SECONDS / max(sums[3], 1e-9), 1, _MOST_STEPS))
        self._last, self._next = (place.step, time.monotonic()), place.step + steps

    def steps_until_due(self, place: Place) -> int:
        return 1 if self._next is None else max(1, self._next - place.step)


class AgreedStop(StopFlag):
    """The flag of all workers."""

    def __init__(self, agreement: Agreement):
        super().__init__()
        self._agreement = agreement

    @property
    def raised(self) -> bool:
        return self._agreement.stop_asked


class AgreedClock(CheckpointClock):
    """The chief's clock, as all workers read it."""

    def __init__(self, agreement: Agreement, clock: CheckpointClock):
        super().__init__(clock.minutes, clock.steps)
        self._agreement = agreement

    def minutes_are_over(self) -> bool:
        return self._agreement.checkpoint_due


class AgreedLine:
    """The chief's progress line; all workers read the metrics for it.

    Args:
      agreement: tells when it is due.
      update, close: of the chief's line; None on the others.
    """

    def __init__(self, agreement: Agreement, line: ProgressLine | None):
        self._agreement, self._line = agreement, line

    def due(self) -> bool:
        """Whether the line is to be shown."""
        return self._agreement.progress_due

    def update(self, done: int, text: str = "") -> None:
        """Shows the line on the chief."""
        if self._line is not None:
            self._line.update(done, text)

    def close(self) -> None:
        """Ends the line on the chief."""
        if self._line is not None:
            self._line.close()
