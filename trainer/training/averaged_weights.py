"""A moving average of the weights, which is validated and saved instead of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops


class AveragedWeights:
    """Exponential moving averages of the trained weights, as Keras's optimizers define them.

    After each step `average = momentum * average + (1 - momentum) * weight`; the first step sets
    the average to the weight. They are kept here because Keras's optimizers do not expose their own
    averages publicly.

    Args:
      weights: the trained variables.
      momentum: in (0, 1).
    """

    def __init__(self, weights: Sequence[keras.Variable], momentum: float):
        self._weights, self._momentum = list(weights), momentum
        self.variables = [
            keras.Variable(
                ops.zeros(weight.shape, weight.dtype),
                trainable=False,
                name=f"average_{number}",
                # Every device computes the same value.
                aggregation="only_first_replica",
            )
            for number, weight in enumerate(self._weights)
        ]

    def update(self, steps: keras.KerasTensor) -> None:
        """Adds the current weights, after `steps` (1 or more) steps of the optimizer."""
        momentum = ops.where(ops.equal(steps, 1), 0.0, self._momentum)
        for average, weight in zip(self.variables, self._weights, strict=True):
            share = ops.cast(momentum, weight.dtype)
            average.assign(share * average + (1 - share) * weight)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the network's weights are the averages."""
        trained = [weight.numpy() for weight in self._weights]
        for weight, average in zip(self._weights, self.variables, strict=True):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self._weights, trained, strict=True):
                weight.assign(value)
