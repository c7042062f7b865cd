"""The chart of the runs' validation curves over the epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from cdisc_tfds.pages.chart_drawing import DPI, chart_look, png_of, shortened
from trainer.reporting.label_spacing import spread
from trainer.reporting.run_styles import Style
from trainer.runs.state import EpochRow


@dataclasses.dataclass(frozen=True)
class Curve:
    """One run's curves.

    Attributes:
      name: the label beside its curves.
      style: how it looks.
      history: its epochs; may be empty.
      best_epoch: the `epoch` (from 0) whose weights the run keeps; None if there is none.
      published: key of a panel (`val_accuracy`, `val_product_accuracy`) -> the study's results:
        one, or one for each of the first epochs.
    """

    name: str
    style: Style
    history: Sequence[EpochRow]
    best_epoch: int | None
    published: Mapping[str, Sequence[float]]


PANELS = (
    ("val_loss", "Validation loss"),
    ("val_accuracy", "Validation accuracy by picture"),
    ("val_product_accuracy", "Validation accuracy by product"),
)


def curves_chart(groups: Sequence[tuple[str, Sequence[Curve]]]) -> bytes:
    """PNG of all runs' validation curves; each group of runs has a row, each value a panel.

    Args:
      groups: (title, curves) of runs whose values are comparable.
    """
    heights = [max(3.5, 1.5 + 0.2 * len(curves)) for _, curves in groups]
    with chart_look():
        layout = ConstrainedLayoutEngine(wspace=0.14, h_pad=0.12)
        figure = Figure(figsize=(15, sum(heights)), dpi=DPI, layout=layout)
        rows = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
        # The last column stays empty, for the runs' names.
        grids = [row.subplots(1, 4, width_ratios=(1, 1, 1, 0.7)) for row in rows]
        for row, axes, (title, curves) in zip(rows, grids, groups):
            row.suptitle(title, x=0.005, ha="left", color="#555555")
            for ax, (key, panel_title) in zip(axes, PANELS):
                ax.set_title(panel_title)
                _draw_panel(ax, key, curves)
            axes[3].axis("off")
        figure.draw_without_rendering()  # fixes the sizes of the axes, which the labels depend on
        figure.set_layout_engine("none")
        for axes, (_, curves) in zip(grids, groups):
            for ax, (key, _) in zip(axes, PANELS):
                _label_published(ax, key, curves)
            _label_lines(axes[2], axes[3], PANELS[2][0], curves)
        return png_of(figure)


def _draw_panel(ax: Axes, key: str, curves: Sequence[Curve]) -> None:
    """Draws each run's line, a ring at its best epoch, and the study's results as dashes."""
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
                ring: dict[str, Any] = {"markersize": 11, "fillstyle": "none", "clip_on": False}
                ax.plot(epoch, value, "o", color=style.colour, **ring)
        dashes: dict[str, Any] = {"color": style.colour, "linestyle": (0, (5, 4)), "linewidth": 1.2}
        published = curve.published.get(key, ())
        if len(published) == 1:
            ax.axhline(published[0], **dashes)
        else:
            ax.plot(range(1, len(published) + 1), published, **dashes)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if key != "val_loss":
        ax.set_ylim(bottom=0)


def _label_published(ax: Axes, key: str, curves: Sequence[Curve]) -> None:
    """Writes the study's results at the right end of their dashes."""
    published = _published(curves, key)
    positions = spread(ax, [value for value, _ in published], points=10)
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


def _label_lines(ax: Axes, name_ax: Axes, key: str, curves: Sequence[Curve]) -> None:
    """Writes the runs' names to the right of `ax`, each joined to the end of its line."""
    ended = [(points[-1], curve) for curve in curves if (points := _points(curve, key))]
    ended.sort(key=lambda pair: pair[0][1])
    name_ax.set_xlim(0, 1)
    name_ax.set_ylim(ax.get_ylim())
    heights = spread(ax, [value for (_, value), _ in ended], points=13)
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
        name_ax.text(0.14, y, shortened(curve.name, 34), va="center", color=style.colour)
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
    """(epoch counted from 1, value) of each epoch with a finite value."""
    values = [(row.epoch + 1, getattr(row, key)) for row in curve.history]
    return [(epoch, value) for epoch, value in values if np.isfinite(value)]


def _published(curves: Sequence[Curve], key: str) -> list[tuple[float, str]]:
    """(value, colour) of each single result of the study, ascending; equal values appear once."""
    colours = {
        curve.published[key][0]: curve.style.colour
        for curve in curves
        if len(curve.published.get(key, ())) == 1
    }
    return sorted(colours.items())
