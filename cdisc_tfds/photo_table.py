"""A table of products and their photos: a CSV file as shops and spreadsheets write it.

Its first row names the columns. The encoding (UTF-8, UTF-16 with a byte order mark, else
Windows-1252) and the delimiter (comma, semicolon, tab or |) are found out.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from cdisc_tfds.file_kinds import kind_instead_of_csv
from cdisc_tfds.photo_products import PhotoProduct, RejectedPhoto
from cdisc_tfds.table_cells import DELIMITERS, address_fault, is_by_row, names_in, row_name

SUFFIXES = (".csv", ".tsv")
_PRODUCT_NAMES = ("productid", "id", "sku", "product", "articleid", "itemid", "ean", "gtin")
# The usual names of a column of photos, each also with a number after it.
_PHOTO_NAME = re.compile(
    "(image|img|picture|photo|file)s?(name|path|file)?s?[0-9]*|path|filenames?|filepaths?"
)


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
    data = pathlib.Path(path).read_bytes()
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and (kind := kind_instead_of_csv(data)):
        raise kind.error(path, "a CSV file")
    text, encoding = _decoded(data)
    delimiter = wanted.delimiter or _delimiter(text)
    rows = _rows(text, delimiter, path)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    by_row = is_by_row(wanted.product, header)
    product = None if by_row else _product_column(header, wanted.product, path)
    photos = _photo_columns(header, wanted.photos, product, path)
    folder = os.path.dirname(path) if wanted.folder is None else wanted.folder
    described = _described(path, encoding, delimiter, header, product, photos, by_row)
    table = PhotoTable([], [], described)

    def exists(name: str) -> bool:
        return os.path.exists(os.path.join(folder, name))

    for row, (number, cells) in enumerate(rows, 1):
        cells = _fitted(cells, len(header))
        files = [
            file for place in photos for file in names_in(cells[place], wanted.separator, exists)
        ]
        name = next(iter(files), "") if product is None else cells[product].strip()
        if by_row:
            name = row_name(row)
        if len(cells) > len(header):
            fault = f"has {len(cells)} cells, the first row {len(header)}"
        elif not name:
            fault = f"names no {'photo' if product is None else 'product'}"
        else:
            table.add(name, files, folder)
            continue
        table.rejected.append(RejectedPhoto(None, None, f"row {number} of {path} {fault}"))
    return table


def _fitted(cells: list[str], width: int) -> list[str]:
    """The cells with empty ones at the end added or left out; more, if others are too many."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells + [""] * (width - len(cells))


def _decoded(data: bytes) -> tuple[str, str]:
    """(text, encoding) of a file."""
    encodings = ["utf-8-sig", "cp1252"]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings.insert(0, "utf-16")
    for encoding in encodings:
        try:
            return data.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"  # gives every byte a character


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first row into the most cells; a comma if none does."""

    def cells(delimiter: str) -> int:
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            return len(next(reader, []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=cells)


def _rows(
    text: str, delimiter: str, path: str | os.PathLike[str]
) -> Iterator[tuple[int, list[str]]]:
    """(number of the row, from 1, its cells) of each row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for cells in reader:
            number += 1
            if any(cell.strip() for cell in cells):
                yield number, cells
    except csv.Error as error:
        raise PhotoTableError(
            f"Row {number + 1} of {path} must be cells with {delimiter!r} between, and a quote "
            f"that is opened must be closed. Received: a row that is not ({error}). Is there a "
            'stray " in it?'
        ) from None


def _product_column(
    header: Sequence[str], wanted: str | None, path: str | os.PathLike[str]
) -> int | None:
    if wanted is not None:
        return _place(header, wanted, "--id", path)
    plain = [_plain(name) for name in header]
    return next((plain.index(name) for name in _PRODUCT_NAMES if name in plain), None)


def _photo_columns(
    header: Sequence[str],
    wanted: Sequence[str],
    product: int | None,
    path: str | os.PathLike[str],
) -> list[int]:
    if wanted:
        return [_place(header, name, "--pictures", path) for name in wanted]
    found = [
        place
        for place, name in enumerate(header)
        if place != product and _PHOTO_NAME.fullmatch(_plain(name))
    ]
    if not found:
        raise PhotoTableError(
            "A table needs a column with the files of the photos, such as image or photo. "
            f"{path} has {_listed(header)}. Name it with --pictures=COLUMN."
        )
    return found


def _place(header: Sequence[str], wanted: str, flag: str, path: str | os.PathLike[str]) -> int:
    if wanted in header:
        return header.index(wanted)
    raise PhotoTableError(
        f"{flag} must name a column of {path}, which has {_listed(header)}. Received: {wanted}."
    )


def _listed(header: Sequence[str]) -> str:
    return f"the columns {', '.join(header)}" if header else "no columns"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _described(
    path: str | os.PathLike[str],
    encoding: str,
    delimiter: str,
    header: Sequence[str],
    product: int | None,
    photos: Sequence[int],
    by_row: bool,
) -> str:
    if by_row:
        by = "products by the number of their row"
    else:
        by = "each row by itself" if product is None else f"products by {header[product]!r}"
    columns = ", ".join(repr(header[place]) for place in photos)
    return f"{path}: {by}, photos from {columns} ({encoding}, {delimiter!r} between cells)"
