"""Running metrics of training that Keras does not have."""

from __future__ import annotations

import keras
from keras import ops


class FirstNonFiniteStep(keras.metrics.Metric):
    """The first step (from 0) since the reset whose outputs were not all finite; -1 if none.

    It lives on the device, so that watching every step costs no synchronisation.
    """

    def __init__(self, name: str = "first_nonfinite_step", **kwargs):
        super().__init__(name=name, dtype="float32", **kwargs)
        self._steps = self.add_variable((), "zeros", dtype="float32", name="steps")
        # Kept as step + 1, so that a reset (all zeros) means "none".
        self._first = self.add_variable((), "zeros", dtype="float32", name="first")

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        del y_true, sample_weight
        self._steps.assign(self._steps + 1)
        finite = ops.all(ops.isfinite(y_pred))
        is_first = ops.logical_and(self._first == 0, ops.logical_not(finite))
        self._first.assign(ops.where(is_first, self._steps, self._first))

    def result(self):
        return self._first - 1
