"""Keeps the labels of a chart from overlapping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes


def spread(ax: Axes, values: Sequence[float], points: float) -> np.ndarray:
    """Moves y values apart, each as little as possible.

    Args:
      ax: the axes of the labels, in their final size.
      values: y values, ascending.
      points: how far apart neighbours must be, in points (1/72 inch).

    Returns:
      float64 [n]: the new y values, within the axes where they all fit.
    """
    bottom, top = ax.get_ylim()
    height = ax.get_window_extent().height / ax.figure.dpi * 72
    gap = (top - bottom) / height * points
    # With i gaps subtracted, the values must only not decrease: pool those that do into their mean.
    pools: list[list[float]] = []
    for i, value in enumerate(values):
        pools.append([value - i * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    level = [np.mean(pool) for pool in pools for _ in pool]
    offsets = np.arange(len(values)) * gap
    highest = max(bottom, top - gap * max(len(values) - 1, 0))
    return np.clip(level, bottom, highest) + offsets
