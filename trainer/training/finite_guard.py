"""Stops training as soon as the loss or a weight is no longer finite."""

from __future__ import annotations

import math
import pathlib

import numpy as np

from trainer.training.hooks import Place
from trainer.training.step import TrainStep


class NonFiniteLossError(ValueError):
    """The loss, or a weight, became NaN or infinite."""


class FiniteGuard:
    """Checks loss and weights.

    Args:
      step: training step, whose running metrics and weights are checked.
      run_dir: folder of the run, for the error message.
      learning_rate: learning rate, likewise.
    """

    def __init__(self, step: TrainStep, run_dir: pathlib.Path, learning_rate: float):
        self._step, self._run_dir, self._learning_rate = step, run_dir, learning_rate

    def check_loss(self, place: Place) -> None:
        """Raises NonFiniteLossError, naming the step, if a step's loss was not finite."""
        metrics = self._step.metrics.values()
        step = metrics.first_nonfinite_step
        if step >= 0 or not math.isfinite(metrics.loss):
            raise self._error("loss", place.epoch, step if step >= 0 else place.step - 1)

    def check_weights(self, place: Place) -> None:
        """Raises NonFiniteLossError if a weight is not finite.

        A step computes its loss before its update, which may still spoil the weights.
        """
        for variable in self._step.trained_variables():
            if not np.isfinite(variable.numpy()).all():
                raise self._error(f"weights {variable.path}", place.epoch, place.step - 1)

    def _error(self, what: str, epoch: int, step: int) -> NonFiniteLossError:
        return NonFiniteLossError(
            f"The {what} must stay finite. NaN or infinity came up in epoch {epoch + 1}, step "
            f"{step + 1}; {self._run_dir} keeps the last good checkpoint. Try a smaller "
            f"--learning_rate (now {self._learning_rate:g}) or --precision=float32 in a new "
            "--run_dir."
        )
