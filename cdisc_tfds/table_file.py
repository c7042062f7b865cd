"""A table as shops and spreadsheets write it, a CSV file: its encoding, its delimiter, its rows.

The catalogue and `trainer.classify` read their tables here; each says which class its errors have.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

from cdisc_tfds.file_kinds import kind_instead_of_csv

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_SNIFFED_ROWS = 100
_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 1 << 24  # BSON documents, which may lie under a table's name, are no longer
_LATIN = ("cp1252", "latin-1")  # Windows writes the first; the second accepts all bytes
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Line(NamedTuple):
    """A row of the table.

    Attributes:
      number: line of the file at which it starts; the header's is 1.
      cells: as many as the header has, or more in a damaged row.
    """

    number: int
    cells: list[str]


@dataclasses.dataclass(frozen=True)
class TableFile:
    """A table whose encoding and delimiter are known.

    Attributes:
      path: the file.
      error: the class of the errors about it.
      encoding: `utf-8-sig`; `utf-16` or `utf-32`, for files with their mark; or Latin-1 in one of
        its forms.
      delimiter: what stands between cells.
      columns: the header's cells.
    """

    path: str
    error: type[ValueError]
    encoding: str
    delimiter: str
    columns: tuple[str, ...]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        error: type[ValueError],
        delimiter: str | None = None,
        *,
        certain: bool,
    ) -> TableFile:
        """Finds out how to read the file.

        Args:
          path: the file.
          error: the class of the errors about it.
          delimiter: what stands between cells, or None to find it out.
          certain: whether to refuse a table whose delimiter is not certain; else it is then the one
            that cuts the header into the most cells.

        Raises:
          `error`: the header is missing, or the delimiter is not certain.
          WrongKindError: the file is of another kind.
          OSError: it cannot be read.
        """
        path = os.fspath(path)
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
        marked = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
        if marked is None and (kind := kind_instead_of_csv(head)):
            raise kind.error(path, "a CSV file")
        table = cls(path, error, _encoding(path, marked), delimiter or "", ())
        if delimiter is None:
            table = dataclasses.replace(table, delimiter=_delimiter(table, certain))
        header = next(table._records(), None)
        if header is None:
            raise table._empty()
        return dataclasses.replace(table, columns=tuple(cell.strip() for cell in header.cells))

    @property
    def is_latin(self) -> bool:
        """Whether the file names no encoding and is not UTF-8, so that its encoding is a guess."""
        return self.encoding in _LATIN

    def rows(self) -> Iterator[Line]:
        """Yields each row after the header that is not blank.

        Spreadsheets leave out empty cells at the end of a row, or add some: a row that is too short
        gets them, and one that is too long loses them.

        Raises:
          `error`: a quote is not closed.
        """
        width = len(self.columns)
        lines = self._records()
        next(lines)
        for line in lines:
            cells = _without_empty_end(line.cells, width)
            yield Line(line.number, cells + [""] * (width - len(cells)))

    def _records(self) -> Iterator[Line]:
        """Yields the header and each row that is not blank, as they are."""
        with open(self.path, encoding=self.encoding, newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            start = 1
            try:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield Line(start, cells)
                    start = reader.line_num + 1
            except csv.Error as error:
                raise self.error(
                    f"The row at line {start} of {self.path} must be cells separated by "
                    f"{DELIMITERS.get(self.delimiter, repr(self.delimiter))}, and a quote that is "
                    f"opened must be closed. Received: a row that is not ({error}). Is there a "
                    'stray " in it?'
                ) from None

    def _empty(self) -> ValueError:
        return self.error(f"{self.path} must have a header and rows. Received: an empty file.")


def _without_empty_end(cells: list[str], width: int) -> list[str]:
    """The cells without empty ones after the first `width`."""
    while len(cells) > width and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _encoding(path: str, marked: str | None) -> str:
    """The first encoding in which all of the file can be read, `marked` before the others."""
    for encoding in (*([] if marked is None else [marked]), "utf-8-sig", *_LATIN):
        decoder = codecs.getincrementaldecoder(encoding)()
        with open(path, "rb") as file:
            try:
                while block := file.read(_BLOCK_BYTES):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
            except UnicodeError:  # UTF-16 raises it for a mark that is missing
                continue
        return encoding
    raise AssertionError("latin-1 reads all bytes")


def _delimiter(table: TableFile, certain: bool) -> str:
    """The only delimiter that divides the header and the first rows into as many cells each.

    If none does, rows may be shorter than the header, or longer by empty cells.

    Raises:
      `table.error`: the file is empty, no row can be read, or none or several do and it must be
        certain.
    """
    widths: dict[str, list[int]] = {}
    headers: dict[str, int] = {}
    faults: dict[str, ValueError] = {}
    for delimiter in DELIMITERS:
        records = dataclasses.replace(table, delimiter=delimiter)._records()
        lines: list[list[str]] = []
        try:
            lines.extend(line.cells for line in itertools.islice(records, _SNIFFED_ROWS))
        except table.error as error:
            faults[delimiter] = error
        if not lines and delimiter not in faults:  # nothing but delimiters and white space
            raise table._empty()
        headers[delimiter] = len(lines[0]) if lines else 0
        if delimiter not in faults:
            widths[delimiter] = [len(_without_empty_end(one, headers[delimiter])) for one in lines]
    even = [one for one, found in widths.items() if found[0] > 1 and len(set(found)) == 1]
    short = [one for one, found in widths.items() if found[0] == max(found) > 1]
    fitting = even or short
    if len(fitting) == 1:
        return fitting[0]
    widest = max(headers, key=headers.__getitem__)
    if widest in faults and not fitting:
        raise faults[widest]
    if not certain:
        return widest
    raise table.error(
        f"Exactly one of {', '.join(DELIMITERS.values())} must divide the header and the first "
        f"{_SNIFFED_ROWS} rows of {table.path} into the same number of cells. Received: "
        f"{_received(fitting, widths)}. Correct the rows, or say what stands between cells with "
        "--delimiter."
    )


def _received(fitting: list[str], widths: dict[str, list[int]]) -> str:
    """What the delimiters do, for the message."""
    if fitting:
        return " and ".join(DELIMITERS[one] for one in fitting) + ", which both do"
    uneven = [
        f"by {DELIMITERS[one]} {min(found)} to {max(found)} cells"
        for one, found in widths.items()
        if max(found) > 1
    ]
    return ", ".join(uneven) or "rows of one cell"
