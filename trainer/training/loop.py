"""The loop over the steps of an epoch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from trainer.data.decoding import Batches
from trainer.training.hooks import Hook, Place
from trainer.training.step import TrainStep


@dataclasses.dataclass(frozen=True)
class EpochPlan:
    """The remaining steps of an epoch.

    Attributes:
      epoch: counted from 0.
      first: number of finished steps.
      steps: number of steps in the whole epoch.
      batch_size: pictures per step; the last step may have fewer.
      total_pictures: number of pictures in the whole epoch.
      steps_before: number of steps of all earlier epochs.
    """

    epoch: int
    first: int
    steps: int
    batch_size: int
    total_pictures: int
    steps_before: int = 0

    @property
    def whole_steps(self) -> int:
        """Number of the first steps with `batch_size` pictures each: all, or all but the last."""
        to_the_end = self.steps == -(-self.total_pictures // self.batch_size)
        return self.total_pictures // self.batch_size if to_the_end else self.steps

    def place(self, step: int) -> Place:
        """The position of training after `step` steps."""
        return Place(
            epoch=self.epoch,
            step=step,
            first=self.first,
            steps=self.steps,
            pictures=min(step * self.batch_size, self.total_pictures),
            total_pictures=self.total_pictures,
            global_step=self.steps_before + step,
        )


def run_steps(step: TrainStep, batches: Batches, plan: EpochPlan, hooks: Sequence[Hook]) -> None:
    """Runs the remaining steps of an epoch.

    Args:
      step: trains on a batch.
      batches: batches of the epoch, without those of the finished steps.
      plan: the steps to run.
      hooks: called in order before each step, and closed at the end. The device takes several steps
        in between where all hooks allow it.
    """
    with contextlib.ExitStack() as closing:
        for hook in hooks:
            closing.callback(hook.close)
        if plan.first == plan.steps:
            return
        iterator = step.iterator(batches)
        number = plan.first
        while number < plan.steps:
            place = plan.place(number)
            for hook in hooks:
                hook.before_step(place)
            if number == plan.whole_steps:
                step(iterator, is_part=True)
                break
            free = min([hook.steps_until_due(place) for hook in hooks], default=plan.steps)
            count = max(1, min(step.steps_per_call, free, plan.whole_steps - number))
            step(iterator, count)
            number += count
