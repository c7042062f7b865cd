"""A report's sections on finished networks: accuracies, level-1 confusions, examples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from trainer.reporting.figures import confusion_figure, largest_confusions
from trainer.reporting.page import (
    Figures,
    Html,
    joined,
    markup,
    product_card,
    run_key,
    share,
    table,
    with_note,
)
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import ReportedRun

_NAMED_CONFUSIONS = 5
_NOTHING = markup("<p>No run has been evaluated yet.</p>")


def _evaluations(
    runs: Sequence[ReportedRun],
) -> Iterator[tuple[ReportedRun, dict[str, Any], Html]]:
    """(run, contents of the evaluation's file, heading)."""
    for run in runs:
        for result in run.evaluations:
            heading = markup("<h3>{} on {}</h3>", run_key(run.name, run.style), result["split"])
            yield run, result, heading


def table_of_evaluations(runs: Sequence[ReportedRun]) -> Html:
    """What `trainer.evaluate` measured, and the commands that measure what is missing."""
    columns = [
        ("run", ""),
        ("split", ""),
        ("products", "number"),
        ("pictures", "number"),
        ("accuracy by product", "number"),
        ("accuracy by picture", "number"),
        ("top 5 by product", "number"),
        ("top 5 by picture", "number"),
        ("level 1", "number"),
        ("level 2", "number"),
        ("not in training", "number"),
    ]
    rows = [
        (
            run_key(run.name, run.style),
            with_note(result["split"], _method(result)),
            f"{result['num_products']:,}",
            f"{result['num_pictures']:,}",
            share(result["product"]["accuracy"]),
            share(result["picture"]["accuracy"]),
            share(result["product"]["top5"]),
            share(result["picture"]["top5"]),
            *(
                share(result[part] and result[part]["accuracy"])
                for part in ("level1", "level2", "deduplicated")
            ),
        )
        for run, result, _ in _evaluations(runs)
    ]
    if not rows:
        return _missing(runs)
    note = (
        "Level 1, level 2 and the last column are accuracies by product. The last one counts only "
        "products none of whose pictures is, byte for byte, in the run's training split."
    )
    return joined([table(columns, rows), markup('<p class="note">{}</p>', note), _missing(runs)])


def _method(result: dict[str, Any]) -> str:
    """What differs from the usual way to predict."""
    parts = []
    if result["checkpoint"] != "best":
        parts.append(f"{result['checkpoint']} checkpoint")
    if result["flip"]:
        parts.append("with mirror images")
    if result["mean"] != "arithmetic":
        parts.append(f"{result['mean']} mean")
    return ", ".join(parts)


def _missing(runs: Sequence[ReportedRun]) -> Html:
    """The commands that evaluate the runs which are not, and which cannot be evaluated yet."""
    missing = [run for run in runs if not run.evaluations and not run.is_part]
    ready = [run for run in missing if run.can_be_evaluated]
    waiting = ", ".join(run.name for run in missing if not run.can_be_evaluated)
    commands = "\n".join(
        f"python -m trainer.evaluate --run_dir={shlex.quote(str(run.folder.path))}" for run in ready
    )
    parts = []
    if ready:
        parts.append(markup("<p>Not evaluated yet. Run:</p><pre>{}</pre>", commands))
    if waiting:
        parts.append(markup("<p>Not trained far enough to be evaluated: {}.</p>", waiting))
    return joined(parts)


def confusions(runs: Sequence[ReportedRun], figures: Figures) -> Html:
    """A heat map of each evaluation's largest level-1 confusions."""
    parts = [
        markup("<div>{}{}</div>", heading, _confusion(run, result, figures))
        for run, result, heading in _evaluations(runs)
    ]
    if not parts:
        return _NOTHING
    note = (
        "Share of each category's products, by what they were taken for; the right answers are on "
        "the grey diagonal. Only the categories with the largest confusions are shown."
    )
    return markup('<p class="note">{}</p><div class="beside">{}</div>', note, joined(parts))


def _confusion(run: ReportedRun, result: dict[str, Any], figures: Figures) -> Html:
    if result["level1"] is None:
        return markup("<p>The run's classes say nothing about level 1.</p>")
    matrix, names = result["level1_confusion"], result["level1_names"]
    pairs = largest_confusions(matrix)
    if not pairs:
        return markup("<p>Every product was put in its level-1 category.</p>")
    named = joined(
        markup(
            "<li>{} of {} taken for {}: {} products</li>",
            f"{pair.share:.1%}",
            names[pair.true],
            names[pair.predicted],
            f"{pair.count:,}",
        )
        for pair in pairs[:_NAMED_CONFUSIONS]
    )
    png = confusion_figure(matrix, names)
    name = f"confusions {run.name} {result['split']}"
    return markup("{}<ol>{}</ol>", figures.add(name, png, "level-1 confusions"), named)


def examples(runs: Sequence[ReportedRun], data: DataSets, number: int) -> Html:
    """Pictures of each evaluation's surest wrong products, then of some right ones."""
    parts = [
        joined([heading, _examples(run, result, data, number)])
        for run, result, heading in _evaluations(runs)
    ]
    if not parts:
        return _NOTHING
    note = "Wrong predictions, surest first, then some right ones (green)."
    return joined([markup('<p class="note">{}</p>', note), *parts])


def _examples(run: ReportedRun, result: dict[str, Any], data: DataSets, number: int) -> Html:
    if why_not := data.why_not(run, result["split"]):
        return markup("<p>Left out, for want of the pictures: {}</p>", why_not)
    chosen = chosen_examples(result["examples"], number)
    pictures = data.pictures(run, result["split"], [row["product_id"] for row in chosen])
    names = full_names(run)
    cards = joined(
        product_card(
            row["product_id"],
            pictures.get(row["product_id"], []),
            names[row["category"]],
            names[row["predicted"]],
            row["probability"],
        )
        for row in chosen
    )
    return markup('<div class="cards">{}</div>', cards)


def chosen_examples(rows: Sequence[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """`number` wrong ones with the highest probability, then up to a third as many right ones."""
    distinct = {row["product_id"]: row for row in rows}.values()
    surest = sorted(distinct, key=lambda row: -row["probability"])
    wrong = [row for row in surest if not row["correct"]]
    right = [row for row in surest if row["correct"]]
    return wrong[:number] + right[: number // 3]


def full_names(run: ReportedRun) -> list[str]:
    """Each class's name; a category's is "level 1 > level 2 > level 3"."""
    label_map = run.label_map
    if label_map.category_of_class is None:
        return label_map.class_names
    categories = label_map.categories
    return [
        f"{categories.level2_names[categories.level2[label]]} > {categories.level3_names[label]}"
        for label in label_map.category_of_class
    ]
