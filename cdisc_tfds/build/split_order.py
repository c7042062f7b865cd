"""Determines the order of a split's records from the tables of its parts."""

from __future__ import annotations

import dataclasses

import numpy as np
import xxhash

from cdisc_tfds.build.part_table import Part, read_columns
from cdisc_tfds.product_index import ProductIndex


@dataclasses.dataclass(frozen=True, eq=False)
class SplitOrder:
    """The products of a split, and their order.

    Attributes:
      rows: int64 [n], rows of the parts' concatenated tables, in the split's order.
      first_document: int64 [parts + 1], number of documents before each part.
      duplicates: rows that repeat the product of an earlier row.
      last_document: the split contains no product after this document.
    """

    rows: np.ndarray
    first_document: np.ndarray
    duplicates: np.ndarray
    last_document: int

    @classmethod
    def of(cls, tables: list[str], parts: list[Part], limit: int | None) -> SplitOrder:
        """Sorts all products by key; keeps only the first in the file of each `_id`.

        Args:
          tables, parts: those of the whole file, or enough of them for `limit`.
          limit: maximum number of products (the first ones of the file), or None.
        """
        first_document = np.cumsum([0, *(part.documents for part in parts)])
        # Stable: rows with equal keys stay in file order.
        order = np.lexsort((read_columns(tables, "key_low"), read_columns(tables, "key_high")))
        product_id = read_columns(tables, "product_id")[order]
        again = np.flatnonzero(product_id[1:] == product_id[:-1]) + 1
        rows = np.delete(order, again)
        last_document = int(first_document[-1])
        if limit is not None and limit < len(rows):
            document = read_columns(tables, "document") + np.repeat(
                first_document[:-1], [part.products for part in parts]
            )
            last_document = int(np.partition(document[rows], limit - 1)[limit - 1])
            rows = rows[document[rows] <= last_document]
        return cls(rows, first_document, order[again], last_document)

    def index(self, tables: list[str]) -> ProductIndex:
        """The split's index."""
        names = ("product_id", "num_pictures", "category")
        return ProductIndex(*(read_columns(tables, name)[self.rows] for name in names))

    def contents(self, tables: list[str]) -> np.ndarray:
        """uint64 [n]: the hash of each record's contents."""
        content: np.ndarray = read_columns(tables, "content")[self.rows]
        return content


def records_digest(index: ProductIndex, contents: np.ndarray) -> str:
    """A digest of all records of a split in order; it does not depend on the writer.

    Args:
      index: the split's index.
      contents: uint64 [n], `content_of` the pieces of each record.
    """
    digest = xxhash.xxh3_128(index.digest.encode())
    digest.update(contents.astype("<u8").tobytes())
    return digest.hexdigest()
