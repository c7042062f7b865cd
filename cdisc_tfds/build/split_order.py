"""Determines the order of a split's records from the tables of its parts."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import xxhash

from cdisc_tfds.build.large_columns import new_column, taken
from cdisc_tfds.build.part_table import Part, PartTables
from cdisc_tfds.product_index import ProductIndex

# Products that are sorted at a time, in 33 bytes of memory each.
MOST_SORTED = 1 << 27


@dataclasses.dataclass(frozen=True, eq=False)
class SplitOrder:
    """The products of a split, and their order.

    Attributes:
      tables: the tables of the split's parts.
      rows: int64 [n], rows of the tables end to end, in the split's order.
      first_document: int64 [parts + 1], number of documents before each part.
      duplicates: rows that repeat the product of an earlier row: int64, ascending.
      last_document: the split contains no product after this document.
      folder: the split's folder, for columns that exceed the memory.
    """

    tables: PartTables
    rows: np.ndarray
    first_document: np.ndarray
    duplicates: np.ndarray
    last_document: int
    folder: str | os.PathLike[str]

    @classmethod
    def of(
        cls,
        tables: PartTables,
        parts: list[Part],
        limit: int | None,
        folder: str | os.PathLike[str],
    ) -> SplitOrder:
        """Sorts all products by key; keeps only the first in the files of each `_id`.

        Args:
          tables, parts: those of all files, or enough of them for `limit`.
          limit: maximum number of products (the first ones of the files), or None.
          folder: as above.
        """
        first_document = np.cumsum([0, *(part.documents for part in parts)])
        rows, duplicates = _sorted(tables, folder)
        last_document = int(first_document[-1])
        if limit is not None and limit < len(rows):
            document = tables.column("document") + np.repeat(first_document[:-1], tables.lengths)
            last_document = int(np.partition(document[rows], limit - 1)[limit - 1])
            rows = rows[document[rows] <= last_document]
        return cls(tables, rows, first_document, np.sort(duplicates), last_document, folder)

    def column(self, name: str) -> np.ndarray:
        """A column of the tables in the split's order."""
        return taken(self.tables.column(name), self.rows, self.folder)

    def index(self) -> ProductIndex:
        """The split's index."""
        return ProductIndex(*map(self.column, ("product_id", "num_pictures", "category")))

    def contents(self) -> np.ndarray:
        """uint64 [n]: the hash of each record's contents."""
        return self.column("content")


def _sorted(tables: PartTables, folder: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """(rows in the order of their keys without duplicates, rows of duplicates)."""
    ranges = tables.key_ranges(max(1, -(-tables.num_rows // MOST_SORTED)))
    if len(ranges) == 1:
        return _sorted_range(tables, ranges[0])
    rows = new_column(tables.num_rows, np.int64, folder)
    duplicates, filled = [], 0
    for within in ranges:
        kept, again = _sorted_range(tables, within)
        rows[filled : filled + len(kept)] = kept
        filled += len(kept)
        duplicates.append(again)
    return rows[:filled], np.concatenate(duplicates)


def _sorted_range(
    tables: PartTables, within: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """The same for the rows `within` each table."""
    # Stable: rows with equal keys stay in file order.
    order = np.lexsort((tables.column("key_low", within), tables.column("key_high", within)))
    product_id = tables.column("product_id", within)[order]
    again = np.flatnonzero(product_id[1:] == product_id[:-1]) + 1
    del product_id  # memory counts here
    rows = tables.row_numbers(within)[order]
    return (np.delete(rows, again), rows[again]) if len(again) else (rows, again)


def records_digest(index: ProductIndex, contents: np.ndarray) -> str:
    """A digest of all records of a split in order; it does not depend on the writer.

    Args:
      index: the split's index.
      contents: uint64 [n], `content_of` the pieces of each record.
    """
    digest = xxhash.xxh3_128(index.digest.encode())
    digest.update(np.ascontiguousarray(contents, "<u8").data)
    return digest.hexdigest()
