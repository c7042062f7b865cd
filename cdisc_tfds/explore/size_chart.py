"""The chart of the pictures' sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cdisc_tfds.pages.chart_drawing import DPI, chart_look, logarithmic, png_of

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_BINS = 40


def size_chart(values: Sequence[tuple[str, np.ndarray]], unit: str) -> bytes:
    """PNG of the distribution of sizes in each split, as shares of the split's pictures.

    Args:
      values: (split, sizes: integers [pictures], at least 1, at least one picture) of each split.
      unit: of the sizes, for the axis.
    """
    lowest = min(sizes.min() for _, sizes in values)
    highest = max(sizes.max() for _, sizes in values)
    edges = np.geomspace(max(lowest, 1), max(highest, lowest + 1), _BINS + 1)
    edges[0], edges[-1] = lowest, max(highest, lowest + 1)  # geomspace rounds
    with chart_look():
        figure = Figure(figsize=(5.6, 3.2), dpi=DPI, layout="constrained")
        ax = figure.subplots()
        for place, (name, sizes) in enumerate(values):
            heights, _ = np.histogram(sizes, edges)
            colour = _COLOURS[place % len(_COLOURS)]
            ax.stairs(100 * heights / len(sizes), edges, color=colour, label=name, linewidth=1.6)
        ax.set_xscale("log")
        logarithmic(ax.xaxis)
        ax.set_xlabel(unit)
        ax.set_ylabel("% of the pictures")
        ax.legend(frameon=False)
        return png_of(figure)
