"""The CSV of pictures whose products have several categories."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Iterator, Sequence

from cdisc_tfds.categories import COLUMNS, Categories
from cdisc_tfds.explore.duplicates import Repeats
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.records import UNLABELLED
from cdisc_tfds.whole_files import whole_file

HEADER = ("image_hash", "num_products", "num_categories", "split", "product_id", *COLUMNS)


def write_disputed(
    path: str | os.PathLike[str],
    repeats: Repeats,
    splits: Sequence[ScannedSplit],
    categories: Categories,
) -> None:
    """Writes a row for each labelled product of each such picture, the most products first.

    `image_hash` is the picture's in `image_hashes` of the data set. `num_products` counts all
    products that show it, `num_categories` the categories of the labelled ones.
    """
    with whole_file(pathlib.Path(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for group in repeats.disputed.tolist():
            writer.writerows(_rows(group, repeats, splits, categories))


def _rows(
    group: int, repeats: Repeats, splits: Sequence[ScannedSplit], categories: Categories
) -> Iterator[tuple[object, ...]]:
    counts = (
        int(repeats.hashes[group]),
        int(repeats.products[group]),
        int(repeats.num_categories[group]),
    )
    members = repeats.members(group)
    used = repeats.is_product[members] & (repeats.category[members] != UNLABELLED)
    columns = (repeats.split, repeats.row, repeats.category)
    for number, row, label in zip(*(column[members][used].tolist() for column in columns)):
        split = splits[number]
        category = (categories.category_ids[label], *categories.path_of(label))
        yield *counts, split.name, split.index.product_id[row], *category
