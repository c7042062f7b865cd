"""The report's sections on classes: frequent and rare ones, and a table of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cdisc_tfds.pages.table import share, table, with_note
from trainer.reporting.accuracy_cells import with_error
from trainer.reporting.class_groups import ClassGroup, class_groups
from trainer.reporting.confused_pairs import ConfusedPair, confused_pairs
from trainer.reporting.reported_evaluations import ReportedEvaluation
from trainer.runs.category_file import CategoryRow

_MOST_ROWS = 6000  # of tables of categories, on a page
_LEVELS = {1: "Level 1", 2: "Level 2", 3: "Categories"}


def groups(evaluations: Sequence[ReportedEvaluation]) -> Markup:
    """The sizes of head, middle and tail, and each evaluation's accuracies there."""
    parts = [
        Markup("\n").join([one.heading, _groups(class_groups(one.result))])
        for one in evaluations
        if one.result.counts.groups
    ]
    if not parts:
        return Markup("")
    note = (
        "Classes ranked by their training products: the head holds the first third of these "
        "products, the middle the second, the tail the last and the classes without any. Mean "
        "recall counts each class once. Where the mean probability exceeds the accuracy, the "
        "network is too sure."
    )
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _groups(found: Sequence[ClassGroup]) -> Markup:
    columns = [
        ("", ""),
        ("classes", "number"),
        ("training products", "number"),
        ("a class", "number"),
        ("evaluated products", "number"),
        ("accuracy", "number"),
        ("mean probability", "number"),
        ("level 2", "number"),
        ("level 1", "number"),
        ("mean recall", "number"),
    ]
    rows = []
    for one in found:
        group = one.group
        accuracy = group.accuracy
        rows.append(
            (
                group.name,
                f"{group.num_classes:,}",
                _count(one.training_products),
                None if one.smallest is None else f"{one.smallest:,} to {one.largest:,}",
                f"{group.num_products:,}",
                None if accuracy is None else with_error(accuracy, group.num_products),
                *map(share, (one.confidence, group.level2, group.level1, group.mean_recall)),
            )
        )
    return table(columns, rows)


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def categories(evaluations: Sequence[ReportedEvaluation]) -> Markup:
    """A table of the categories of each evaluation, and of the levels above them."""
    known = [one for one in evaluations if one.result.categories]
    if not known:
        return Markup("")
    parts = [
        Markup("\n").join([one.heading, *_levels(one, _MOST_ROWS // len(known))]) for one in known
    ]
    note = (
        "The most missed categories come first; a click on a heading sorts. Recall: the share of "
        "its products that is recognised. Precision: the share of the products predicted as it "
        "that are of it. Beside each evaluation, a .categories.csv file lists the same."
    )
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _levels(one: ReportedEvaluation, limit: int) -> list[Markup]:
    """The table of the classes, then those of the levels above them, which unfold."""
    rows = one.result.categories
    own = one.result.class_rows[0].level
    guesses = one.result.guesses
    taken_for: dict[int, ConfusedPair] = {}
    for pair in confused_pairs(guesses) if guesses is not None else ():
        taken_for.setdefault(pair.true, pair)
    parts = [_table(one.result.class_rows, own, limit, taken_for)]
    for level in sorted({row.level for row in rows} - {own}, reverse=True):
        of_level = [row for row in rows if row.level == level]
        parts.append(
            Markup("<details><summary>{}</summary>{}</details>").format(
                f"{_LEVELS[level]} ({len(of_level):,})", _table(of_level, level, limit, {})
            )
        )
    return parts


def _table(
    rows: Sequence[CategoryRow], level: int, limit: int, taken_for: Mapping[int, ConfusedPair]
) -> Markup:
    """A table of the categories of a level, at most `limit` of them.

    Args:
      rows: the categories; of the classes, in their order.
      level: their level.
      limit: how many to show.
      taken_for: class -> the most frequent pair of it and a wrong prediction.
    """
    classes = any(row.training_products is not None for row in rows)
    columns = [(_LEVELS[level].lower(), ""), ("products", "number"), ("missed", "number")]
    columns += [("recall", "number"), ("precision", "number")]
    columns += [("training products", "number"), ("group", "")] if classes else []
    columns += [("most often taken for", "")] if taken_for else []
    order = sorted(range(len(rows)), key=lambda n: (rows[n].right - rows[n].products, n))
    cells = [
        (
            _named(rows[place]),
            f"{rows[place].products:,}",
            f"{rows[place].products - rows[place].right:,}",
            share(rows[place].recall),
            share(rows[place].precision),
            *((_count(rows[place].training_products), rows[place].group) if classes else ()),
            *((_taken_for(taken_for.get(place), rows),) if taken_for else ()),
        )
        for place in order[:limit]
    ]
    shown = table(columns, cells, sortable=True)
    if len(rows) <= limit:
        return shown
    more = f"Left out, to keep the page small: the {len(rows) - limit:,} least missed ones."
    return shown + Markup('<p class="note">{}</p>').format(more)


def _named(row: CategoryRow) -> Markup:
    """A category's name, and below it the levels above it."""
    above, _, leaf = row.name.rpartition(" > ")
    return with_note(Markup('<span class="leaf">{}</span>').format(leaf), above)


def _taken_for(pair: ConfusedPair | None, rows: Sequence[CategoryRow]) -> str | None:
    if pair is None:
        return None
    leaf = rows[pair.predicted].name.rpartition(" > ")[2]
    return f"{leaf} ({pair.count:,})"
