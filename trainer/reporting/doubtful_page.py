"""A page that shows products whose labels are doubtful."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.pages.page import page
from cdisc_tfds.whole_files import whole_file
from trainer.data.dataset import Split
from trainer.reporting.pictures import pictures_of
from trainer.reporting.product_card import card, category_path
from trainer.runs.doubtful_labels import DoubtfulLabels


def write_doubtful_page(
    path: pathlib.Path, doubts: DoubtfulLabels, split: Split, paths: Sequence[str], most: int
) -> None:
    """Writes the page, whole or not at all.

    Args:
      path: the page.
      doubts: the labels.
      split: the split that the products are in.
      paths: of each class, `level 1 > level 2 > level 3`.
      most: how many to show.
    """
    shown = doubts[:most]
    pictures = pictures_of(split, shown.product_id.tolist())
    cards = Markup("\n").join(_card(shown, place, pictures, paths) for place in range(len(shown)))
    introduction = Markup(
        "<p>{} labels of {} that the network and the most similar products contradict, the most "
        "doubtful first. Here are the first {}; the list beside this page has all of them.</p>"
    ).format(f"{len(doubts):,}", split.spec, f"{len(shown):,}")
    body = Markup('<div class="cards">{}</div>').format(cards)
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write(page("Doubtful labels", introduction, [("labels", "Labels", body)]))


def _card(
    doubts: DoubtfulLabels, place: int, pictures: dict[int, list[bytes]], paths: Sequence[str]
) -> Markup:
    product_id = int(doubts.product_id[place])
    label, suggested = int(doubts.label[place]), int(doubts.suggested[place])
    rows: list[tuple[str, object]] = [
        ("label", category_path(paths[label])),
        ("suggested", category_path(paths[suggested])),
        ("network", _both(doubts.probability[place], doubts.suggested_probability[place])),
        ("neighbours", _both(doubts.neighbours[place], doubts.suggested_neighbours[place])),
        ("product", product_id),
    ]
    return card([(product_id, pictures.get(product_id, []))], rows, right=False)


def _both(own: float, other: float) -> str:
    return f"{own:.0%} for the label, {other:.0%} for the suggestion"
