"""Tools of all charts: fonts and grid, shortened names, PNG bytes.

A new chart gets a module of its own, `*_chart.py`, beside the sections that show it: a function
that takes numbers and returns a PNG, drawn within `chart_look()`. `page_figures.Figures.add` puts
it on the page.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

_LOOK: dict[Any, Any] = {
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
    "text.parse_math": False,  # names may contain dollar signs
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
DPI = 110


def chart_look(**changes: Any) -> AbstractContextManager[None]:
    """A context in which Matplotlib draws in the style of our pages, with some rcParams changed."""
    return matplotlib.rc_context(_LOOK | changes)


def logarithmic(axis: Axis) -> None:
    """Labels an axis, which has a logarithmic scale, with whole numbers: 1, 2, 5, 10, 20, ..."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:,.0f}")
    axis.set_minor_formatter("")


def shortened(name: str, length: int) -> str:
    """The name; if it is longer than `length` characters, an ellipsis replaces its middle."""
    if len(name) <= length:
        return name
    tail = length // 3
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG; the same figure always gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
