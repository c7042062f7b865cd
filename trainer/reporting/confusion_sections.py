"""The report's sections on confusions: of level 1, and of the classes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import table
from trainer.reporting.confused_pairs import ConfusedPair, confused_pairs
from trainer.reporting.confusion_chart import confusion_chart, largest_confusions
from trainer.reporting.product_card import category_path
from trainer.reporting.reported_evaluations import NOTHING, ReportedEvaluation

_NAMED_CONFUSIONS = 5
_PAIRS = 40  # of classes, in the table of an evaluation


def level1_confusions(evaluations: Sequence[ReportedEvaluation], figures: Figures) -> Markup:
    """A heat map of each evaluation's largest level-1 confusions."""
    parts = [
        Markup("<div>{}{}</div>").format(one.heading, _level1_confusion(one, figures))
        for one in evaluations
    ]
    if not parts:
        return NOTHING
    note = (
        "Each row shows which categories a true category's products were predicted as; the grey "
        "diagonal holds the right predictions. Only the categories with the largest confusions "
        "are shown."
    )
    return Markup('<p class="note">{}</p><div class="beside">{}</div>').format(
        note, Markup("\n").join(parts)
    )


def _level1_confusion(one: ReportedEvaluation, figures: Figures) -> Markup:
    counts = one.result.counts
    if counts.level1 is None:
        return Markup("<p>This run's classes do not determine the level-1 category.</p>")
    matrix, names = counts.level1_confusion, counts.level1_names
    pairs = largest_confusions(matrix)
    if not pairs:
        return Markup("<p>Every product was predicted in its true level-1 category.</p>")
    named = Markup("\n").join(
        Markup("<li>{} of {} predicted as {} (products: {})</li>").format(
            f"{pair.share:.1%}",
            names[pair.true],
            names[pair.predicted],
            f"{pair.count:,}",
        )
        for pair in pairs[:_NAMED_CONFUSIONS]
    )
    png = confusion_chart(matrix, names)
    name = f"confusions {one.name} {one.split}"
    return Markup("{}<ol>{}</ol>").format(figures.add(name, png, "level-1 confusions"), named)


def class_confusions(evaluations: Sequence[ReportedEvaluation]) -> Markup:
    """The pairs of classes that each evaluation confuses most often, with their levels."""
    parts = [
        Markup("\n").join([one.heading, _pairs(one, confused_pairs(one.result.guesses))])
        for one in evaluations
        if one.result.guesses is not None
    ]
    if not parts:
        return Markup("")
    note = (
        "Products of one class that were predicted as another, the most frequent pairs first. A "
        "pair that is confused both ways may be one category under two names."
    )
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _pairs(one: ReportedEvaluation, pairs: Sequence[ConfusedPair]) -> Markup:
    if not pairs:
        return Markup("<p>Every product was predicted in its true class.</p>")
    names = one.run.label_map.full_names
    columns = [
        ("true class, and what it was taken for", ""),
        ("products", "number"),
        ("of the true class", "number"),
        ("share", "number"),
        ("the other way round", "number"),
    ]
    rows = [
        (
            Markup("<div>{}</div><div>→ {}</div>").format(
                *_paths(names[pair.true], names[pair.predicted])
            ),
            f"{pair.count:,}",
            f"{pair.of_true:,}",
            f"{pair.count / pair.of_true:.1%}",
            f"{pair.reverse:,}",
        )
        for pair in pairs[:_PAIRS]
    ]
    wrong, shown = (sum(pair.count for pair in some) for some in (pairs, pairs[:_PAIRS]))
    sentence = (
        f"Wrong products: {wrong:,}, in {len(pairs):,} pairs. Shown: {len(rows):,} pairs with "
        f"{shown:,} of them ({shown / wrong:.0%})."
    )
    return Markup("<p>{}</p>{}").format(sentence, table(columns, rows, sortable=True))


def _paths(true: str, predicted: str) -> tuple[Markup, Markup]:
    """The paths of two classes; the second without the levels that both have in common."""
    ours, theirs = true.split(" > "), predicted.split(" > ")
    common = 0
    while common < min(len(ours), len(theirs)) - 1 and ours[common] == theirs[common]:
        common += 1
    return category_path(true), category_path(" > ".join(theirs[common:]))
