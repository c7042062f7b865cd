"""The report's section on what a probability means."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import share, table
from trainer.reporting.reliability_chart import reliability_chart
from trainer.reporting.reported_evaluations import ReportedEvaluation
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.evaluation_parts import Acceptance


def probabilities(evaluations: Sequence[ReportedEvaluation], figures: Figures) -> Markup:
    """Each evaluation's reliability diagram, and the thresholds for accepting predictions."""
    parts = [
        Markup("<div>{}{}{}</div>").format(
            one.heading, _reliability(one, figures), _acceptance(one.result)
        )
        for one in evaluations
        if one.result.counts.reliability is not None
    ]
    if not parts:
        return Markup("")
    note = (
        "The products are in 15 bins of equal size by the probability of their first guess. On the "
        "diagonal, the network is as sure as it is right; below it, too sure. The calibration "
        "error is the mean distance from the diagonal. Bars are standard errors: a bin within two "
        "of them may lie off the diagonal by chance. The table says from which probability on "
        "predictions can be accepted unseen."
    )
    return Markup('<p class="note">{}</p><div class="beside">{}</div>').format(
        note, Markup("\n").join(parts)
    )


def _reliability(one: ReportedEvaluation, figures: Figures) -> Markup:
    result = one.result
    found, calibration = result.counts.reliability, result.method.calibration
    assert found is not None
    caption = f"Calibration error {found.ece:.4f}"
    if calibration is not None and found.ece_before is not None:
        caption += (
            f" with temperature {calibration.product:.3f}, fitted on {calibration.split}; "
            f"{found.ece_before:.4f} without"
        )
    png = reliability_chart(found.bins, one.style.colour)
    name = f"reliability {one.name} {one.split}"
    return figures.add(name, png, "reliability diagram", f"{caption}.")


def _acceptance(result: EvaluationResult) -> Markup:
    columns = [
        ("wanted", "number"),
        ("accept from", "number"),
        ("accepted", "number"),
        ("of these right", "number"),
    ]
    assert result.counts.reliability is not None
    return table(columns, [_acceptance_row(row) for row in result.counts.reliability.acceptance])


def _acceptance_row(row: Acceptance) -> Sequence[object]:
    wanted = f"{row.wanted:.0%}"
    if row.threshold is None:
        return (wanted, None, None, None)
    return (wanted, share(row.threshold), f"{row.share:.1%}", f"{row.accuracy:.1%}")
