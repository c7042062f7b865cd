"""Minimises a convex function of weights that are not negative and sum to 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# weights float64 [n] -> (value, gradient float64 [n])
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

_MOST_STEPS = 2000


def minimise_on_simplex(objective: Objective, size: int, tolerance: float = 1e-6) -> np.ndarray:
    """Exponentiated gradient from equal weights (Kivinen and Warmuth, 1997), deterministic.

    A step multiplies each weight by exp(-rate * gradient). The rate doubles after a step that
    lowers the value, and halves until one does.

    Args:
      objective: convex and differentiable.
      size: number of weights.
      tolerance: stop when the value is at most this far above the minimum. The bound is the
        Frank-Wolfe gap: weights * gradient - (smallest gradient).

    Returns:
      float64 [size], weights at or near the minimum. It is the best found if rounding or the limit
      of steps ends the search first.
    """
    weights = np.full(size, 1 / size)
    value, gradient = objective(weights)
    rate = 1.0
    for _ in range(_MOST_STEPS):
        if weights @ gradient - gradient.min() <= tolerance or rate < 1e-12:
            break
        step = weights * np.exp(-rate * (gradient - gradient.min()))
        step /= step.sum()
        new_value, new_gradient = objective(step)
        if new_value < value:
            weights, value, gradient, rate = step, new_value, new_gradient, rate * 2
        else:
            rate /= 2
    return weights
