"""The reliability diagram: how often first guesses are right, by how sure the network is."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from cdisc_tfds.pages.chart_drawing import DPI, chart_look, png_of
from trainer.reporting.accuracy_cells import binomial_error
from trainer.runs.evaluation_parts import ReliabilityBin


def reliability_chart(bins: Sequence[ReliabilityBin], colour: str) -> bytes:
    """PNG of the accuracy of each bin over its mean confidence; honest bins lie on the diagonal.

    Bars show the standard error of each accuracy, from the number of products in the bin.

    Args:
      bins: bins of equally many products.
      colour: the colour of the run.
    """
    confidence = [one.confidence for one in bins]
    accuracy = [one.accuracy for one in bins]
    errors = [binomial_error(one.accuracy, one.count) for one in bins]
    with chart_look():
        figure = Figure(figsize=(4.2, 4.2), dpi=DPI)
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
        ax.vlines(confidence, confidence, accuracy, color=colour, alpha=0.35, linewidth=2)
        ax.errorbar(
            confidence,
            accuracy,
            errors,
            fmt="o-",
            color=colour,
            markersize=4,
            linewidth=1,
            capsize=2,
        )
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        ax.set_aspect("equal")
        ax.set_xlabel("probability of the first guess")
        ax.set_ylabel("share of right first guesses")
        return png_of(figure)
