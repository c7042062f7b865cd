"""A table of products and their photos, for predictions: whatever can be read of it is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from cdisc_tfds.photo_products import PhotoProduct, RejectedPhoto
from cdisc_tfds.table_cells import address_fault, is_by_row, names_in, row_name
from cdisc_tfds.table_columns import ID_NAMES, ColumnFinder
from cdisc_tfds.table_file import TableFile

SUFFIXES = (".csv", ".tsv")


class PhotoTableError(ValueError):
    """The table cannot be read; the message says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class TableColumns:
    """Which columns to use, as the user named them.

    Attributes:
      product: the column of the product's id; None: found by its usual names; `row`: the rows are
        numbered.
      photos: the columns of the photos' files; empty: found by their usual names.
      delimiter: what stands between cells; None: found out.
      separator: what stands between several files in a cell; None: found out (`names_in`).
      folder: the folder that the files' paths start from; None: the table's.
    """

    product: str | None = None
    photos: tuple[str, ...] = ()
    delimiter: str | None = None
    separator: str | None = None
    folder: str | None = None


@dataclasses.dataclass(frozen=True)
class PhotoTable:
    """The products of a table.

    Attributes:
      products: one for each row; several rows may name the same product. Without a column of ids,
        each is named as its first photo in the table.
      rejected: the rows, and the cells with addresses, that cannot be used.
      described: how the table was read, as a sentence.
    """

    products: list[PhotoProduct]
    rejected: list[RejectedPhoto]
    described: str

    def add(self, name: str, files: Sequence[str], folder: str) -> None:
        """Adds a product with the files in a folder; addresses are rejected."""
        here = []
        for file in files:
            if fault := address_fault(file):
                self.rejected.append(RejectedPhoto(name, file, fault))
            else:
                here.append(os.path.join(folder, file))
        self.products.append(PhotoProduct(name, tuple(here)))


def read_photo_table(path: str | os.PathLike[str], wanted: TableColumns) -> PhotoTable:
    """Reads a table.

    Args:
      path: the file.
      wanted: the columns.

    Raises:
      PhotoTableError: it is empty, its quotes do not match, or a column is missing.
      WrongKindError: it is a file of another kind.
      OSError: it cannot be read.
    """
    file = TableFile.open(path, PhotoTableError, wanted.delimiter, certain=False)
    finder = ColumnFinder(file.columns, file.path, PhotoTableError)
    by_row = is_by_row(wanted.product, file.columns)
    named = None if by_row else finder.given("--id", wanted.product) or finder.first(ID_NAMES)
    product = None if named is None else file.columns.index(named)
    pictures = finder.pictures("--pictures", wanted.photos)
    photos = [file.columns.index(name) for name in pictures]
    folder = os.path.dirname(path) if wanted.folder is None else wanted.folder
    table = PhotoTable([], [], _described(file, named, pictures, by_row))

    def exists(name: str) -> bool:
        return os.path.exists(os.path.join(folder, name))

    for row, (number, cells) in enumerate(file.rows(), 1):
        files = [
            name for place in photos for name in names_in(cells[place], wanted.separator, exists)
        ]
        name = next(iter(files), "") if product is None else cells[product].strip()
        if by_row:
            name = row_name(row)
        if len(cells) > len(file.columns):
            fault = f"has {len(cells)} cells, the header {len(file.columns)}"
        elif not name:
            fault = f"names no {'photo' if product is None else 'product'}"
        else:
            table.add(name, files, folder)
            continue
        table.rejected.append(RejectedPhoto(None, None, f"line {number} of {file.path} {fault}"))
    return table


def _described(file: TableFile, product: str | None, pictures: Sequence[str], by_row: bool) -> str:
    if by_row:
        by = "products by the number of their row"
    else:
        by = "each row by itself" if product is None else f"products by {product!r}"
    columns = ", ".join(map(repr, pictures))
    encoding = file.encoding.removesuffix("-sig")
    return (
        f"{file.path}: {by}, photos from {columns} ({encoding}, {file.delimiter!r} between cells)"
    )
