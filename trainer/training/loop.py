"""The loop over the steps of an epoch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

import tensorflow as tf

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


def run_steps(
    step: TrainStep, batches: tf.data.Dataset, plan: EpochPlan, hooks: Sequence[Hook]
) -> None:
    """Runs the remaining steps of an epoch.

    Args:
      step: trains on a batch.
      batches: batches of the epoch, without those of the finished steps.
      plan: the steps to run.
      hooks: called in order before each step, and closed at the end.
    """
    with contextlib.ExitStack() as closing:
        for hook in hooks:
            closing.callback(hook.close)
        if plan.first == plan.steps:
            return
        iterator = step.iterator(batches)
        for number in range(plan.first, plan.steps):
            place = plan.place(number)
            for hook in hooks:
                hook.before_step(place)
            step(iterator)
