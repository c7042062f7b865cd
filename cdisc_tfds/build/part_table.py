"""The table of a part: its contents in key order. A part with a table is finished."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from typing import Any

import numpy as np

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.products import Rejection
from cdisc_tfds.whole_files import whole_file

# One row per record. `key` is 16 bytes as two big-endian integers; `content` is a hash of the
# record's contents; `size` is that of the framed record; `document` counts from the part's start;
# `offset` is the start of the document in its file.
COLUMNS = {
    "key_high": np.uint64,
    "key_low": np.uint64,
    "content": np.uint64,
    "size": np.int64,
    "product_id": np.int64,
    "num_pictures": np.uint8,
    "category": np.int32,
    "document": np.int64,
    "offset": np.int64,
}


@dataclasses.dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
      start: offset of its first document, as far as the part can tell; None without one.
      landing: offset after its last document, where the next part must start; None if the part ends
        in damage: the next part then starts at any document that it finds.
      documents: number of documents, including rejected ones.
      products: number of records.
      damage: the error that stopped the part, or None. A stopped part has no files.
    """

    start: int | None
    landing: int | None
    documents: int
    products: int
    damage: BsonError | None = None


def write_table(
    path: str, part: Part, columns: dict[str, np.ndarray], rejections: list[Rejection]
) -> None:
    """Writes a part's table atomically."""
    about = {
        "start": part.start,
        "landing": part.landing,
        "documents": part.documents,
        "rejections": [dataclasses.astuple(rejection) for rejection in rejections],
    }
    about_bytes = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays: dict[str, Any] = {"about": about_bytes, **columns}
    with whole_file(path) as file:
        np.savez(file, **arrays)


def read_part(path: str) -> Part | None:
    """The part with this table; None if the table is missing or not fully readable."""
    try:
        with open(path, "rb") as file, np.load(file) as table:
            about = json.loads(table["about"].tobytes())
            lengths = {len(table[name]) for name in COLUMNS}  # reading a column verifies its bytes
        (products,) = lengths
        return Part(about["start"], about["landing"], about["documents"], products)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def read_column(table: str, name: str) -> np.ndarray:
    """One column of a part's table."""
    with open(table, "rb") as file, np.load(file) as columns:
        column: np.ndarray = columns[name]
    return column


@dataclasses.dataclass(frozen=True)
class PartTables:
    """The tables of a split's parts, end to end.

    Attributes:
      paths: the tables.
      lengths: number of rows of each.
    """

    paths: list[str]
    lengths: list[int]

    @property
    def num_rows(self) -> int:
        return sum(self.lengths)

    @property
    def first_rows(self) -> np.ndarray:
        """Number of rows before each table, and of all: int64 [tables + 1]."""
        return np.cumsum([0, *self.lengths])

    def column(self, name: str, within: list[tuple[int, int]] | None = None) -> np.ndarray:
        """One column, or the rows `within` (begin and end in each table) of it.

        It takes no more memory than that: a split may have a billion rows.
        """
        ranges = within or [(0, length) for length in self.lengths]
        column = np.empty(sum(end - begin for begin, end in ranges), COLUMNS[name])
        filled = 0
        for path, (begin, end) in zip(self.paths, ranges):
            column[filled : filled + end - begin] = read_column(path, name)[begin:end]
            filled += end - begin
        return column

    def key_ranges(self, number: int) -> list[list[tuple[int, int]]]:
        """Cuts the rows into so many ranges of `key_high`, all of about the same size.

        Keys are spread evenly, because they are MD5. Rows with equal keys are in the same range.

        Returns:
          For each range, in the order of the keys: the begin and end of its rows in each table.
        """
        cuts = np.array([(place << 64) // number for place in range(1, number)], np.uint64)
        ends = []
        for path, length in zip(self.paths, self.lengths):
            keys = read_column(path, "key_high") if number > 1 else np.zeros(0, np.uint64)
            ends.append([0, *np.searchsorted(keys, cuts).tolist(), length])  # they are ascending
        return [[(end[place], end[place + 1]) for end in ends] for place in range(number)]

    def row_numbers(self, within: list[tuple[int, int]]) -> np.ndarray:
        """The numbers of the rows `within`, counted over all tables end to end: int64."""
        numbers = np.empty(sum(end - begin for begin, end in within), np.int64)
        filled = 0
        for first, (begin, end) in zip(self.first_rows.tolist(), within):
            numbers[filled : filled + end - begin] = np.arange(first + begin, first + end)
            filled += end - begin
        return numbers


def read_rejections(table: str) -> list[Rejection]:
    """The items that a part rejected; `document` counts from the part's start."""
    with open(table, "rb") as file, np.load(file) as columns:
        about = json.loads(columns["about"].tobytes())
    return [Rejection(*values) for values in about["rejections"]]
