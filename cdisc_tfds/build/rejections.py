"""The items that a split rejects: their lines in `rejected.jsonl`, their counts, and the limit."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from cdisc_tfds.build.part_table import Part, read_column, read_rejections
from cdisc_tfds.build.source_files import SourceFiles
from cdisc_tfds.build.split_order import SplitOrder
from cdisc_tfds.manual_files import Source
from cdisc_tfds.products import KINDS, Rejection, duplicate
from cdisc_tfds.whole_files import whole_file

FILE = "rejected.jsonl"
# A split that rejects a larger share of its products most likely has the wrong category file, or
# comes from another kind of dump.
MAX_REJECTED_SHARE = 0.5


class TooManyRejectedError(ValueError):
    """Too few of a split's products are usable."""


def require_most(source: Source, num_products: int, rejected: dict[str, int], listed: str) -> None:
    """Raises TooManyRejectedError if a split rejects more than half of its products.

    Args:
      source: the split.
      num_products: number of products that it keeps.
      rejected: number of rejected items by kind.
      listed: path of the list of rejected items.
    """
    seen = num_products + rejected["product"]
    if rejected["product"] <= MAX_REJECTED_SHARE * seen:
        return
    check = ""
    if source.labelled:
        check = "Check that category_names.csv is complete and belongs to this file. "
    raise TooManyRejectedError(
        f"At least half of the products of {source} must be usable. Received: "
        f"{rejected['product']:,} of {seen:,} that are not; {listed} gives the reason for each. "
        f"{check}To build with what is left, set CDISCOUNT_KEEP_GOING=1 (in Python: "
        "tfds.builder('cdiscount', keep_going=True))."
    )


def write_rejections(
    folder: pathlib.Path,
    source: Source,
    files: SourceFiles,
    parts: list[Part],
    order: SplitOrder,
) -> dict[str, int]:
    """Writes `rejected.jsonl` into a split's folder, in file order; returns the counts by kind.

    Args:
      folder: the split's folder.
      source, files: the split and its files.
      parts, order: the parts of the files, and the order of the products.
    """
    counts: collections.Counter[str] = collections.Counter()
    with whole_file(folder / FILE, "w", encoding="utf-8") as lines:
        for rejection in _in_order(files.num_bytes, parts, order):
            counts[rejection.kind] += rejection.count
            lines.write(rejection.to_json(source.split, files.place) + "\n")
    return {kind: counts[kind] for kind in KINDS}


def _in_order(num_bytes: int, parts: list[Part], order: SplitOrder) -> Iterator[Rejection]:
    """Yields all rejected items, with `document` counted from the start of the split."""
    first_rows = order.tables.first_rows
    cuts = np.searchsorted(order.duplicates, first_rows)
    for number, table in enumerate(order.tables.paths):
        inside = order.duplicates[cuts[number] : cuts[number + 1]] - first_rows[number]
        found = [*_of_part(table, parts, number, num_bytes), *_duplicates(table, inside)]
        first = int(order.first_document[number])
        for rejection in sorted(found, key=lambda one: one.document):
            counted = dataclasses.replace(rejection, document=rejection.document + first)
            if counted.document <= order.last_document:
                yield counted


def _of_part(table: str, parts: list[Part], number: int, num_bytes: int) -> list[Rejection]:
    """The items that a part rejected. A stretch still open at its end ends at the next document."""
    rejections = read_rejections(table)
    part = parts[number]
    if part.landing is None and part.start is not None:
        starts = (later.start for later in parts[number + 1 :] if later.start is not None)
        rejections[-1] = rejections[-1].closed_at(next(starts, num_bytes))
    return rejections


def _duplicates(table: str, rows: np.ndarray) -> Iterator[Rejection]:
    if not len(rows):
        return
    columns = (read_column(table, name)[rows] for name in ("document", "offset", "product_id"))
    for document, offset, product_id in zip(*(column.tolist() for column in columns)):
        yield duplicate(document, offset, product_id)
