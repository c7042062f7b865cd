"""The report's sections on what a probability means, and on frequent and rare classes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import share, table
from trainer.reporting.evaluation_sections import evaluations
from trainer.reporting.reliability_chart import reliability_chart
from trainer.reporting.reported_runs import ReportedRun
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.evaluation_parts import Acceptance, FrequencyGroup

_MOST_MISSED = 15


def probabilities(runs: Sequence[ReportedRun], figures: Figures) -> Markup:
    """Each evaluation's reliability diagram, and the thresholds for accepting predictions."""
    parts = [
        Markup("<div>{}{}{}</div>").format(
            heading, _reliability(run, result, figures), _acceptance(result)
        )
        for run, result, heading in evaluations(runs)
        if result.counts.reliability is not None
    ]
    if not parts:
        return Markup("")
    note = (
        "The products are in 15 bins of equal size by the probability of their first guess. On the "
        "diagonal, the network is as sure as it is right; below it, too sure. The calibration "
        "error is the mean distance from the diagonal. The table says from which probability on "
        "predictions can be accepted unseen."
    )
    return Markup('<p class="note">{}</p><div class="beside">{}</div>').format(
        note, Markup("\n").join(parts)
    )


def _reliability(run: ReportedRun, result: EvaluationResult, figures: Figures) -> Markup:
    found, calibration = result.counts.reliability, result.method.calibration
    assert found is not None
    caption = f"Calibration error {found.ece:.4f}"
    if calibration is not None and found.ece_before is not None:
        caption += (
            f" with temperature {calibration.product:.3f}, fitted on {calibration.split}; "
            f"{found.ece_before:.4f} without"
        )
    png = reliability_chart(found.bins, run.style.colour)
    name = f"reliability {run.name} {result.method.split}"
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


def classes(runs: Sequence[ReportedRun]) -> Markup:
    """Each evaluation's accuracies for frequent and rare classes, and its most missed classes."""
    parts = [
        Markup("\n").join([heading, _groups(result.counts.groups), _missed(result.categories)])
        for _, result, heading in evaluations(runs)
        if result.counts.groups
    ]
    if not parts:
        return Markup("")
    note = (
        "Classes ranked by their training products: the head holds the first third of these "
        "products, the middle the second, the tail the last. Mean recall counts each class once. "
        "Beside each evaluation, a .categories.csv file lists every category at all three levels."
    )
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _groups(groups: Sequence[FrequencyGroup] | None) -> Markup:
    columns = [
        ("", ""),
        ("classes", "number"),
        ("products", "number"),
        ("accuracy", "number"),
        ("level 2", "number"),
        ("level 1", "number"),
        ("mean recall", "number"),
    ]
    rows = [
        (
            group.name,
            f"{group.num_classes:,}",
            f"{group.num_products:,}",
            *map(share, (group.accuracy, group.level2, group.level1, group.mean_recall)),
        )
        for group in groups or ()
    ]
    return table(columns, rows)


def _missed(rows: Sequence[CategoryRow]) -> Markup:
    """The classes with the most products that were predicted as another."""
    own = [row for row in rows if row.group is not None and row.right < row.products]
    own.sort(key=lambda row: row.right - row.products)
    if not own:
        return Markup("")
    columns = [
        ("most missed classes", ""),
        ("group", ""),
        ("training products", "number"),
        ("products", "number"),
        ("missed", "number"),
        ("recall", "number"),
        ("precision", "number"),
    ]
    return table(
        columns,
        [
            (
                row.name,
                row.group,
                None if row.training_products is None else f"{row.training_products:,}",
                f"{row.products:,}",
                f"{row.products - row.right:,}",
                share(row.recall),
                share(row.precision),
            )
            for row in own[:_MOST_MISSED]
        ],
    )
