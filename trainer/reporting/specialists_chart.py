"""The chart of a two-stage run's specialist networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cdisc_tfds.pages.chart_drawing import DPI, chart_look, png_of, shortened


def specialists_chart(names: Sequence[str], accuracies: Sequence[float], colour: str) -> bytes:
    """PNG with a dot for each specialist's accuracy, the highest on top.

    Args:
      names: the level-1 categories of the specialists.
      accuracies: validation accuracies by product, 0 to 1, each within its own category.
      colour: the colour of their run.
    """
    order = np.argsort(accuracies, kind="stable")
    with chart_look():
        figure = Figure(figsize=(9, 0.9 + 0.22 * len(names)), dpi=DPI)
        ax = figure.subplots()
        ax.hlines(range(len(order)), 0, np.take(accuracies, order), color=colour, alpha=0.35)
        ax.plot(np.take(accuracies, order), range(len(order)), "o", color=colour)
        for y, place in enumerate(order):
            ax.annotate(
                f"{accuracies[place]:.2f}",
                (accuracies[place], y),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        ax.set_yticks(range(len(order)), [shortened(names[place], 44) for place in order])
        ax.set_ylim(-0.7, len(order) - 0.3)
        ax.set_xlim(0, 1.06)
        ax.set_xlabel("validation accuracy by product, within the category")
        ax.grid(False, axis="y")
        return png_of(figure)
