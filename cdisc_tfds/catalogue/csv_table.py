"""Reads a shop's CSV file, row by row: its encoding and delimiter are found out strictly."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.file_kinds import HEAD_BYTES, kind_of
from cdisc_tfds.table_cells import DELIMITERS

_SNIFFED_ROWS = 100
_BLOCK_BYTES = 1 << 20
_LATIN = ("cp1252", "latin-1")  # Windows writes the first; the second accepts all bytes


class Line(NamedTuple):
    """A row of the table.

    Attributes:
      number: line of the file at which it starts; the header's is 1.
      cells: as many as the header has, or another number in a damaged row.
    """

    number: int
    cells: list[str]


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """A table whose encoding and delimiter are known.

    Attributes:
      path: the file.
      encoding: `utf-8-sig`, or Latin-1 in one of its forms.
      delimiter: what stands between cells.
      columns: the header's cells.
    """

    path: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: str | os.PathLike[str], delimiter: str | None = None) -> CsvTable:
        """Finds out how to read the file.

        Args:
          path: the file.
          delimiter: what stands between cells, or None to find it out.

        Raises:
          CatalogueError: the header is missing, or the delimiter is not certain.
          WrongKindError: the file is of another kind.
        """
        path = os.fspath(path)
        try:
            with open(path, "rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise CatalogueError(
                f"--csv must be a file that can be read. Received: {path} ({error.strerror})."
            ) from None
        if kind := kind_of(head):
            raise kind.error(path, "a CSV file")
        if not head.removeprefix(codecs.BOM_UTF8).strip():
            raise CatalogueError(f"{path} must have a header and rows. Received: an empty file.")
        encoding = _encoding(path)
        delimiter = delimiter or _delimiter(path, encoding)
        header = next(_records(path, encoding, delimiter)).cells
        return cls(path, encoding, delimiter, tuple(cell.strip() for cell in header))

    @property
    def is_latin(self) -> bool:
        """Whether the file is not UTF-8, so that its encoding is a guess."""
        return self.encoding in _LATIN

    def rows(self) -> Iterator[Line]:
        """Yields each row after the header that is not blank.

        Raises:
          CatalogueError: a quote is not closed.
        """
        lines = _records(self.path, self.encoding, self.delimiter)
        next(lines)
        yield from lines


def _encoding(path: str) -> str:
    """The first encoding in which all of the file can be read."""
    for encoding in ("utf-8-sig", *_LATIN):
        decoder = codecs.getincrementaldecoder(encoding)()
        with open(path, "rb") as file:
            try:
                while block := file.read(_BLOCK_BYTES):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                continue
        return encoding
    raise AssertionError("latin-1 reads all bytes")


def _delimiter(path: str, encoding: str) -> str:
    """The only delimiter that divides the header and the first rows into as many cells each.

    Raises:
      CatalogueError: none does, or several do.
    """
    fitting, found = [], []
    for delimiter, name in DELIMITERS.items():
        try:
            lines = list(itertools.islice(_records(path, encoding, delimiter), _SNIFFED_ROWS))
        except CatalogueError:
            continue
        counts = sorted({len(line.cells) for line in lines})
        if counts[0] > 1 and len(counts) == 1:
            fitting.append(delimiter)
        elif counts[-1] > 1:
            found.append(f"by {name} {counts[0]} to {counts[-1]} cells")
    if len(fitting) == 1:
        return fitting[0]
    received = (
        " and ".join(DELIMITERS[one] for one in fitting) + ", which both do"
        if fitting
        else ", ".join(found) or "rows of one cell"
    )
    raise CatalogueError(
        f"Exactly one of {', '.join(DELIMITERS.values())} must divide the header and the first "
        f"{_SNIFFED_ROWS} rows of {path} into the same number of cells. Received: {received}. "
        "Correct the rows, or say what stands between cells with --delimiter."
    )


def _records(path: str, encoding: str, delimiter: str) -> Iterator[Line]:
    """Yields the header and each row that is not blank."""
    with open(path, encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        start = 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield Line(start, cells)
                start = reader.line_num + 1
        except csv.Error as error:
            raise CatalogueError(
                f"The row at line {start} of {path} must be cells separated by "
                f"{DELIMITERS.get(delimiter, repr(delimiter))}, and a quote that is opened must be "
                f'closed. Received: a row that is not ({error}). Is there a stray " in it?'
            ) from None


def column_places(columns: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The place of each wanted column."""
    return [columns.index(name) for name in wanted]
