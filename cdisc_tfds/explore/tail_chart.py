"""The chart of the long tail: products by category, the largest first."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from cdisc_tfds.explore.category_counts import CategoryCounts
from cdisc_tfds.pages.chart_drawing import DPI, chart_look, logarithmic, png_of

_SHADES = ("#0072b2", "#56b4e9", "#d55e00")  # head, middle, tail
_BOTTOM = 0.8  # products: just below the smallest category


def tail_chart(counts: CategoryCounts) -> bytes:
    """PNG of each category's products over its rank, both logarithmic, by head, middle and tail."""
    ranked = counts.products[counts.ranked]
    with chart_look():
        figure = Figure(figsize=(7.2, 3.6), dpi=DPI, layout="constrained")
        ax = figure.subplots()
        first = 1
        for (name, labels), shade in zip(counts.groups(), _SHADES, strict=True):
            inside = labels[counts.products[labels] > 0]
            ranks = np.arange(first, first + len(inside))
            sizes = ranked[first - 1 : first - 1 + len(inside)]
            text = f"{name}: {len(inside):,} categories"
            ax.fill_between(ranks, sizes, _BOTTOM, step="mid", color=shade, alpha=0.25, linewidth=0)
            ax.plot(ranks, sizes, color=shade, linewidth=2, marker=".", markersize=3, label=text)
            first += len(inside)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(bottom=_BOTTOM)
        ax.set_xlabel("rank of the category")
        ax.set_ylabel("products")
        logarithmic(ax.xaxis)
        logarithmic(ax.yaxis)
        ax.legend(frameon=False)
        return png_of(figure)
