"""The report's figures, as PNG bytes: curves of several runs, level-1 confusions, specialists.

A run keeps its colour and marker in every figure and in the page's tables: `style_of(its place)`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainer.runs.state import EpochRow

# Okabe and Ito's colours for all kinds of colour vision, without their yellow (too light on white).
# A later run with the same colour has another marker, and a hollow one.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
MARKERS = "osD^vPX<>ph*"

_STYLE = {
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": "#e8e8e8",
    "text.parse_math": False,  # names may hold dollar signs
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
_DPI = 110


@dataclasses.dataclass(frozen=True)
class Style:
    """How one run looks in every figure."""

    colour: str
    marker: str
    hollow: bool


def style_of(place: int) -> Style:
    """The look of the run at `place` (0, 1, ...) of the report; the first 84 are all different."""
    return Style(
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        hollow=place // len(COLOURS) % 2 == 1,
    )


@dataclasses.dataclass(frozen=True)
class Curve:
    """One run's curves.

    Args:
      name: what stands beside its curves.
      style: its look.
      history: its epochs; may be empty.
      best_epoch: the `epoch` of the row whose weights it keeps, or None.
      published: panel's key (`val_accuracy`, `val_product_accuracy`) -> the study's figures: one,
        or one for each of the first epochs.
    """

    name: str
    style: Style
    history: Sequence[EpochRow]
    best_epoch: int | None
    published: dict[str, Sequence[float]]


PANELS = (
    ("val_loss", "Validation loss"),
    ("val_accuracy", "Validation accuracy by picture"),
    ("val_product_accuracy", "Validation accuracy by product"),
)


def curves_figure(groups: Sequence[tuple[str, Sequence[Curve]]]) -> bytes:
    """PNG of all runs' validation curves over the epochs.

    Args:
      groups: (title, curves) of runs whose figures may be compared; each is a row of panels.
    """
    heights = [max(3.5, 1.5 + 0.2 * len(curves)) for _, curves in groups]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(15, sum(heights)), dpi=_DPI, layout="constrained")
        figure.get_layout_engine().set(wspace=0.14)
        rows = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
        # The last, empty column is for the names.
        grids = [row.subplots(1, 4, width_ratios=(1, 1, 1, 0.7)) for row in rows]
        for row, axes, (title, curves) in zip(rows, grids, groups):
            row.suptitle(title, x=0.005, ha="left", color="#555555")
            for ax, (key, panel_title) in zip(axes, PANELS):
                ax.set_title(panel_title)
                _draw_panel(ax, key, curves)
            axes[3].axis("off")
        figure.draw_without_rendering()  # settles the axes' sizes, which the texts go by
        figure.set_layout_engine("none")
        for axes, (_, curves) in zip(grids, groups):
            for ax, (key, _) in zip(axes, PANELS):
                _label_published(ax, key, curves)
            _label_lines(axes[2], axes[3], PANELS[2][0], curves)
        return _png(figure)


def _draw_panel(ax, key: str, curves: Sequence[Curve]) -> None:
    """Draws each run's line, a ring at its best epoch and the study's figure as dashes."""
    for curve in curves:
        style = curve.style
        points = _points(curve, key)
        ax.plot(
            [epoch for epoch, _ in points],
            [value for _, value in points],
            color=style.colour,
            marker=style.marker,
            markerfacecolor="white" if style.hollow else style.colour,
            markersize=4.5,
            linewidth=1.6,
        )
        for epoch, value in points:
            if epoch - 1 == curve.best_epoch:
                ring = {"markersize": 11, "fillstyle": "none", "clip_on": False}
                ax.plot(epoch, value, "o", color=style.colour, **ring)
        dashes = {"color": style.colour, "linestyle": (0, (5, 4)), "linewidth": 1.2}
        published = curve.published.get(key, ())
        if len(published) == 1:
            ax.axhline(published[0], **dashes)
        else:
            ax.plot(range(1, len(published) + 1), published, **dashes)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if key != "val_loss":
        ax.set_ylim(bottom=0)


def _label_published(ax, key: str, curves: Sequence[Curve]) -> None:
    """Writes the study's figures at the right end of their dashes."""
    published = _published(curves, key)
    positions = _spread(ax, [value for value, _ in published], points=10)
    for (value, colour), y in zip(published, positions):
        ax.annotate(
            f"{value:.4f}",
            (1, y),
            xytext=(3, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=7.5,
        )


def _label_lines(ax, name_ax, key: str, curves: Sequence[Curve]) -> None:
    """Writes each run's name right of its line's end in `ax`, apart from one another."""
    ended = [(points[-1], curve) for curve in curves if (points := _points(curve, key))]
    ended.sort(key=lambda pair: pair[0][1])
    name_ax.set_xlim(0, 1)
    name_ax.set_ylim(ax.get_ylim())
    heights = _spread(ax, [value for (_, value), _ in ended], points=13)
    for (end, curve), y in zip(ended, heights):
        style = curve.style
        face = "white" if style.hollow else style.colour
        name_ax.plot(
            0.1,
            y,
            style.marker,
            color=style.colour,
            markerfacecolor=face,
            markersize=5,
            clip_on=False,
        )
        name_ax.text(0.14, y, _shortened(curve.name, 34), va="center", color=style.colour)
        name_ax.annotate(
            "",
            end,
            xytext=(0.09, y),
            xycoords=ax.transData,
            textcoords="data",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": style.colour,
                "alpha": 0.4,
                "shrinkA": 0,
                "shrinkB": 4,
            },
        )


def _points(curve: Curve, key: str) -> list[tuple[int, float]]:
    """(epoch counted from 1, value) of every epoch that has a finite one."""
    values = [(row.epoch + 1, getattr(row, key)) for row in curve.history]
    return [(epoch, value) for epoch, value in values if np.isfinite(value)]


def _published(curves: Sequence[Curve], key: str) -> list[tuple[float, str]]:
    """(the study's one figure, colour of a run it belongs to), ascending."""
    colours = {
        curve.published[key][0]: curve.style.colour
        for curve in curves
        if len(curve.published.get(key, ())) == 1
    }
    return sorted(colours.items())


def _spread(ax, values: Sequence[float], points: float) -> np.ndarray:
    """Moves ascending y values of `ax` as little as sets neighbours `points` points apart."""
    bottom, top = ax.get_ylim()
    height = ax.get_window_extent().height / ax.get_figure(root=True).dpi * 72
    gap = (top - bottom) / height * points
    # Less i gaps, the values need only not fall: pool those that do into their mean.
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


@dataclasses.dataclass(frozen=True)
class Confusion:
    """How often products of one level-1 category were put in another.

    Args:
      true, predicted: level-1 labels.
      count: products.
      share: of the true category's products, 0 to 1.
    """

    true: int
    predicted: int
    count: int
    share: float


def largest_confusions(matrix: np.ndarray) -> list[Confusion]:
    """All pairs of different categories that were taken for each other, most products first.

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


def confusion_figure(matrix: np.ndarray, names: Sequence[str], limit: int = 14) -> bytes:
    """PNG of a heat map of the categories with the largest confusions, rows adding up to 100%.

    Args:
      matrix: [n, n] products by true (row) and predicted (column) category, some of them wrong.
      names: of the n categories.
      limit: most categories to show; what a row was taken for outside of them is not shown.
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
    with matplotlib.rc_context({**_STYLE, "axes.grid": False}):
        size = 0.46 * len(shown)  # inches; the names go around it
        figure = Figure(figsize=(size, size), dpi=_DPI)
        ax = figure.add_axes((0, 0, 1, 1))
        ax.imshow(off_diagonal, cmap=_HEAT, vmin=0, vmax=darkest)
        rows = [f"{_shortened(names[label], 44)}  ({totals[label]:,})" for label in shown]
        columns = [_shortened(names[label], 34) for label in shown]
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
        return _png(figure)


_DARK_SHARE = 0.2  # a confusion as large as that is never drawn pale, a smaller one never dark
_HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#fdbe85", "#d94801", "#a63603"])
_HEAT.set_bad("#f0f0f0")


def specialists_figure(names: Sequence[str], accuracies: Sequence[float], colour: str) -> bytes:
    """PNG of a dot for each specialist network's accuracy, highest on top.

    Args:
      names: of the specialists' level-1 categories.
      accuracies: validation accuracy by product, each within its own category.
      colour: of the run they belong to.
    """
    order = np.argsort(accuracies, kind="stable")
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.9 + 0.22 * len(names)), dpi=_DPI)
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
        ax.set_yticks(range(len(order)), [_shortened(names[place], 44) for place in order])
        ax.set_ylim(-0.7, len(order) - 0.3)
        ax.set_xlim(0, 1.06)
        ax.set_xlabel("validation accuracy by product, within the category")
        ax.grid(False, axis="y")
        return _png(figure)


def _shortened(name: str, length: int) -> str:
    """The name, its middle left out if it is longer than `length`."""
    if len(name) <= length:
        return name
    tail = length // 3
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def _png(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
