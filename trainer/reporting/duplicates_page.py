"""A page that shows pairs of products that look nearly the same."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from markupsafe import Markup

from cdisc_tfds.categories import Categories
from cdisc_tfds.pages.page import page
from cdisc_tfds.whole_files import whole_file
from trainer.data.dataset import Split
from trainer.data.label_map import LabelMap
from trainer.reporting.pictures import pictures_of
from trainer.reporting.product_card import card, category_path
from trainer.runs.near_duplicates import NearDuplicates


def write_duplicates_page(
    path: pathlib.Path,
    pairs: NearDuplicates,
    splits: Sequence[Split],
    categories: Categories,
    least: float,
    most: int,
) -> None:
    """Writes the page, whole or not at all.

    Args:
      path: the page.
      pairs: the pairs.
      splits: the splits that they are in; with two of them, each pair is of one and the other.
      categories: the categories of the data set.
      least: the least similarity of a pair.
      most: how many pairs to show of different categories, and as many of the same one.
    """
    different = int((~pairs.same_category).sum())
    groups = (
        ("different", "In different categories", range(min(different, most))),
        ("same", "In the same category", range(different, min(different + most, len(pairs)))),
    )
    shown = [place for _, _, places in groups for place in places]
    ids = {
        int(column[place])
        for place in shown
        for column in (pairs.product_id, pairs.other_product_id)
    }
    pictures: dict[int, list[bytes]] = {}
    for split in splits:
        pictures |= pictures_of(split, ids)
    names = _names(categories)
    sections = [
        (
            anchor,
            heading,
            Markup('<div class="cards">{}</div>').format(
                Markup("\n").join(_card(pairs, place, pictures, names) for place in places)
            ),
        )
        for anchor, heading, places in groups
    ]
    where = " and ".join(split.spec for split in splits)
    introduction = Markup(
        "<p>{} pairs of products in {} whose features have a cosine of at least {}: {} in "
        "different categories, {} in the same one. The most similar first; the list beside this "
        "page has all of them.</p>"
    ).format(f"{len(pairs):,}", where, least, f"{different:,}", f"{len(pairs) - different:,}")
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write(page("Near duplicates", introduction, sections))


def _card(
    pairs: NearDuplicates, place: int, pictures: dict[int, list[bytes]], names: dict[int, str]
) -> Markup:
    first, other = int(pairs.product_id[place]), int(pairs.other_product_id[place])
    rows = [
        ("similarity", f"{pairs.similarity[place]:.4f}"),
        (f"product {first}", category_path(names[int(pairs.category_id[place])])),
        (f"product {other}", category_path(names[int(pairs.other_category_id[place])])),
    ]
    return card(
        [(first, pictures.get(first, [])), (other, pictures.get(other, []))],
        rows,
        bool(pairs.same_category[place]),
    )


def _names(categories: Categories) -> dict[int, str]:
    """The path of each category id."""
    paths = LabelMap(categories).full_names
    return dict(zip(categories.category_ids.tolist(), paths, strict=True)) | {-1: "unlabelled"}
