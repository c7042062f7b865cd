"""Running metrics of training that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


class FirstNonFiniteStep(keras.metrics.Metric):
    """The first step (from 0) since the reset whose outputs were not all finite; -1 if none.

    It stays on the device, so checking every step needs no synchronisation. With several devices,
    it is the first step with non-finite outputs on any of them: they sum one number per step.
    """

    def __init__(self, name: str = "first_nonfinite_step", **kwargs: Any) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        # All devices hold the same value; Keras would sum them.
        same = {"dtype": "float32", "aggregation": "only_first_replica"}
        self._steps = self.add_variable((), "zeros", name="steps", **same)
        # Kept as step + 1, so that a reset (all zeros) means "none".
        self._first = self.add_variable((), "zeros", name="first", **same)

    def update_state(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any = None) -> None:
        del y_true, sample_weight
        self._steps.assign(self._steps + 1)
        bad = ops.logical_not(ops.all(ops.isfinite(y_pred)))
        replica = tf.distribute.get_replica_context()  # None outside a step
        if replica is not None and replica.num_replicas_in_sync > 1:
            bad = replica.all_reduce(tf.distribute.ReduceOp.SUM, ops.cast(bad, "float32")) > 0
        is_first = ops.logical_and(self._first == 0, bad)
        self._first.assign(ops.where(is_first, self._steps, self._first))

    def result(self) -> tf.Tensor:
        return self._first - 1
