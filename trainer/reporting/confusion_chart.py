"""Level-1 confusions: the largest ones, and a heat map of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from cdisc_tfds.pages.chart_drawing import DPI, chart_look, png_of, shortened

_DARK_SHARE = 0.2  # confusions from this share on are never pale, smaller ones never dark
_HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#fdbe85", "#d94801", "#a63603"])
_HEAT.set_bad("#f0f0f0")


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How many products of one level-1 category were predicted as another.

    Attributes:
      true, predicted: level-1 labels.
      count: products.
      share: of the true category's products, 0 to 1.
    """

    true: int
    predicted: int
    count: int
    share: float


def largest_confusions(matrix: ArrayLike) -> list[Confusion]:
    """All pairs of a true category and a wrong prediction, those with the most products first.

    Args:
      matrix: [n, n] products by true (row) and predicted (column) category.
    """
    matrix = np.asarray(matrix)
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = np.argwhere(wrong > 0)
    totals = matrix.sum(axis=1)
    confusions = [
        Confusion(int(i), int(j), int(matrix[i, j]), float(matrix[i, j] / totals[i]))
        for i, j in pairs
    ]
    return sorted(confusions, key=lambda pair: (-pair.count, -pair.share, pair.true))


def confusion_chart(matrix: ArrayLike, names: Sequence[str], limit: int = 14) -> bytes:
    """PNG of a heat map of the categories with the largest confusions.

    Values are shares of the true category's products, including those predicted as a category that
    is not shown.

    Args:
      matrix: [n, n] products by true (row) and predicted (column) category; not diagonal.
      names: the names of the n categories.
      limit: how many categories to show at most.
    """
    matrix = np.asarray(matrix)
    shown: list[int] = []
    for pair in largest_confusions(matrix):
        new = [label for label in (pair.true, pair.predicted) if label not in shown]
        if len(shown) + len(new) <= limit:
            shown += new
    totals = matrix.sum(axis=1)
    shares = matrix[np.ix_(shown, shown)] / np.maximum(totals[shown], 1)[:, None]
    off_diagonal = np.ma.masked_array(shares, mask=np.eye(len(shown), dtype=bool))
    darkest = max(off_diagonal.max(), _DARK_SHARE)
    with chart_look(**{"axes.grid": False}):
        size = 0.46 * len(shown)  # inches; the names are outside
        figure = Figure(figsize=(size, size), dpi=DPI)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.imshow(off_diagonal, cmap=_HEAT, vmin=0, vmax=darkest)
        rows = [f"{shortened(names[label], 44)}  ({totals[label]:,})" for label in shown]
        columns = [shortened(names[label], 34) for label in shown]
        ax.set_yticks(range(len(shown)), rows)
        ax.set_xticks(range(len(shown)), columns, rotation=40, ha="left", rotation_mode="anchor")
        ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        ax.spines[:].set_visible(False)
        ax.set_xticks(np.arange(len(shown) + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(len(shown) + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="#eeeeee", linewidth=0.8)
        ax.tick_params(which="minor", length=0, top=False)
        for (i, j), share in np.ndenumerate(shares):
            if share >= 0.005 or i == j:
                dark = i != j and share > 0.6 * darkest
                colour = "#aaaaaa" if i == j else "white" if dark else "#222222"
                ax.text(j, i, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8)
        ax.set_ylabel("true category (products)")
        ax.set_xlabel("predicted category")
        return png_of(figure)
