"""The report's sections with pictures: the surest mistakes, and examples by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.pages.shots import Shot, shots
from cdisc_tfds.pages.thumbnail import thumbnail
from trainer.data.label_map import LabelMapError
from trainer.reporting.chosen_examples import chosen_examples, examples_by_class
from trainer.reporting.pictures import DataSets
from trainer.reporting.product_card import product_card
from trainer.reporting.reported_evaluations import NOTHING, ReportedEvaluation
from trainer.runs.guess_file import Guesses

Pictures = Mapping[int, Sequence[bytes]]  # product id -> its JPEGs


def examples(evaluations: Sequence[ReportedEvaluation], data: DataSets, number: int) -> Markup:
    """Each evaluation's wrong predictions of the highest probability, then some right ones."""
    parts = [Markup("\n").join([one.heading, _examples(one, data, number)]) for one in evaluations]
    if not parts:
        return NOTHING
    note = "Wrong predictions, most confident first, then some right ones (green)."
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _examples(one: ReportedEvaluation, data: DataSets, number: int) -> Markup:
    chosen = chosen_examples(one.result.counts.examples, number)
    pictures = _pictures(one, data, [row.product_id for row in chosen])
    if isinstance(pictures, Markup):
        return pictures
    names = one.run.label_map.full_names
    cards = Markup("\n").join(
        product_card(
            row.product_id,
            [thumbnail(one) or one for one in pictures.get(row.product_id, ())],
            names[row.category],
            names[row.predicted],
            row.probability,
        )
        for row in chosen
    )
    return Markup('<div class="cards">{}</div>').format(cards)


def _pictures(one: ReportedEvaluation, data: DataSets, ids: Sequence[int]) -> Pictures | Markup:
    """The pictures of some products, or a sentence that says why there are none."""
    try:
        return data.pictures(one.run, one.split, ids)
    except (DatasetError, LabelMapError) as error:
        return Markup("<p>Pictures unavailable: {}</p>").format(error)


def examples_of_classes(
    evaluations: Sequence[ReportedEvaluation], data: DataSets, number: int, limit: int
) -> Markup:
    """Wrong and right predictions of each class.

    Args:
      evaluations: the evaluations.
      data: where the pictures are.
      number: wrong predictions of a class; of right ones, half as many.
      limit: products of all evaluations together.
    """
    known = [one for one in evaluations if one.result.guesses is not None]
    each = limit // max(1, len(known))
    parts = [
        Markup("\n").join([one.heading, _by_class(one, one.result.guesses, data, number, each)])
        for one in known
        if one.result.guesses is not None and number and each
    ]
    if not parts:
        return Markup("")
    note = (
        "The first picture of some products of each class: the surest wrong predictions (orange), "
        "then the surest right ones (green). The class with the most wrong predictions comes first "
        "within its level 1."
    )
    return Markup("\n").join([Markup('<p class="note">{}</p>').format(note), *parts])


def _by_class(
    one: ReportedEvaluation, guesses: Guesses, data: DataSets, number: int, limit: int
) -> Markup:
    chosen = examples_by_class(guesses, number, limit)
    ids = [int(guesses.product_id[row]) for rows in chosen.values() for row in rows]
    pictures = _pictures(one, data, ids)
    if isinstance(pictures, Markup):
        return pictures
    names = one.run.label_map.full_names
    groups: dict[str, list[Markup]] = {}
    for label, rows in chosen.items():
        level1, _, below = names[label].partition(" > ")
        title = f"{below or level1} ({_right_of(guesses, label)})"
        shown = shots([_shot(guesses, row, pictures, names) for row in rows])
        groups.setdefault(level1, []).append(
            Markup("<div><h3>{}</h3>\n{}</div>").format(title, shown)
        )
    left_out = len(set(guesses.true.tolist())) - len(chosen)
    more = f"Left out, because --max_examples limits the page: {left_out:,} classes."
    return Markup("\n").join(
        Markup('<details{}><summary>{}</summary><div class="cells">{}</div></details>').format(
            Markup(" open") if place == 0 else "",
            f"{level1} ({len(cells):,})",
            Markup("\n").join(cells),
        )
        for place, (level1, cells) in enumerate(groups.items())
    ) + (Markup('<p class="note">{}</p>').format(more) if left_out else Markup(""))


def _right_of(guesses: Guesses, label: int) -> str:
    own = guesses.true == label
    return f"{int(guesses.right[own].sum()):,} of {int(own.sum()):,} right"


def _shot(guesses: Guesses, row: int, pictures: Pictures, names: Sequence[str]) -> Shot:
    product_id, right = int(guesses.product_id[row]), bool(guesses.right[row])
    images = pictures.get(product_id, ())
    leaf = names[int(guesses.predicted[row])].rpartition(" > ")[2]
    caption = Markup("{}{:.1%}<div>{}</div>").format(
        "" if right else Markup("as <b>{}</b>, ").format(leaf),
        float(guesses.probability[row]),
        product_id,
    )
    return Shot(images[0] if images else None, caption, "right" if right else "wrong")
