"""`category_names.csv` as label encodings of the three levels."""

from __future__ import annotations

import csv
import functools
import io
import os
import re
from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from cdisc_tfds.file_kinds import kind_instead_of_csv
from cdisc_tfds.storage import path_of

COLUMNS = ("category_id", "category_level1", "category_level2", "category_level3")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
# The start of the next row, found inside a cell.
_SWALLOWED_ROW = re.compile(r'[\r\n]\s*"?[+-]?[0-9]+"?\s*,')

_Value = TypeVar("_Value", bound=Hashable)


class CategoryError(ValueError):
    """The category file is unusable, or it does not contain the requested category."""


class Categories:
    """The categories in the row order of the CSV, numbered as in the study.

    A category's label is its row (0 to 5269 in the competition's file: the study's `catID_encode`).
    Level 1 is numbered by first appearance of the name (49: `cat_1_encode`), level 2 by first
    appearance of the *pair* (level 1, level 2): 486, because three level-2 names each appear under
    two level-1 names. The study's `cat_2_encode` uses the name alone and so merges those three
    pairs: 483; `study_level2` holds that encoding.

    Names stay as they are in the file, including leading and trailing spaces.

    Attributes:
      category_ids: int64 [C], `category_id` of each label.
      level1, level2: int32 [C], label of each category's level.
      level1_names: names by level-1 label.
      level2_names: "level 1 > level 2" by level-2 label.
      level3_names: level-3 name by category label (not unique: 5263 of 5270).
    """

    def __init__(self, rows: list[tuple[int, str, str, str]]):
        """Args: rows: (category_id, level 1, level 2, level 3) in label order."""
        self.category_ids = np.array([row[0] for row in rows], np.int64)
        self.level1, names1 = _by_first_appearance([row[1] for row in rows])
        self.level2, pairs = _by_first_appearance([row[1:3] for row in rows])
        self.study_level2, _ = _by_first_appearance([row[2] for row in rows])
        self.level1_names: list[str] = names1
        self.level2_names = [f"{level1} > {level2}" for level1, level2 in pairs]
        self.level3_names = [row[3] for row in rows]

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> Categories:
        """Reads a file; see `parse`."""
        return cls.parse(path_of(path).read_bytes(), path)

    @classmethod
    def parse(cls, data: bytes, path: str | os.PathLike[str]) -> Categories:
        """Parses the competition's `category_names.csv`.

        The format is UTF-8 with or without a byte order mark, `COLUMNS` as the header, and one row
        per category without empty cells. Cells may be quoted. Blank lines may follow the last row.

        Args:
          data: the file's bytes.
          path: path of the file, for messages.

        Raises:
          CategoryError: the file breaks one of these rules; the message names the row.
          WrongKindError: the file is of another kind.
        """
        if kind := kind_instead_of_csv(data):
            raise kind.error(path, "a CSV file")
        rows: list[tuple[int, str, str, str]] = []
        row_of: dict[int, int] = {}  # row number of each category_id
        for number, cells in _table(data, path):
            row = _row(path, number, cells)
            if (first := row_of.setdefault(row[0], number)) != number:
                raise CategoryError(
                    f"Each category_id must stand in one row of {path}. "
                    f"Received: {row[0]} in rows {first} and {number}. Remove one of them."
                )
            rows.append(row)
        if not rows:
            raise CategoryError(f"{path} must have a row for each category. Received: none.")
        return cls(rows)

    @property
    def num_categories(self) -> int:
        return len(self.category_ids)

    def path_of(self, label: int) -> tuple[str, str, str]:
        """The names of a category's three levels."""
        level1 = self.level1_names[self.level1[label]]
        level2 = self.level2_names[self.level2[label]].removeprefix(f"{level1} > ")
        return level1, level2, self.level3_names[label]

    @functools.cached_property
    def _label_of(self) -> dict[int, int]:
        return {category_id: label for label, category_id in enumerate(self.category_ids.tolist())}

    def label_of(self, category_id: int) -> int:
        """The label of a `category_id`; raises CategoryError if the file does not contain it."""
        try:
            return self._label_of[category_id]
        except KeyError:
            raise CategoryError(
                f"A category must be one of the {self.num_categories} in category_names.csv. "
                f"Received: {category_id}."
            ) from None


def class_label_names(names: Sequence[str]) -> list[str]:
    """Names for a TFDS `ClassLabel`, which stores one stripped name per line.

    Line breaks become spaces. Names that would otherwise be equal get a number: "A", "A (2)".
    """
    unique: dict[str, None] = {}
    for name in names:
        line = " ".join(part.strip() for part in name.splitlines() if part.strip())
        candidate, number = line, 1
        while candidate in unique:
            number += 1
            candidate = f"{line} ({number})"
        unique[candidate] = None
    return list(unique)


def _table(data: bytes, path: object) -> Iterator[tuple[int, list[str]]]:
    """Yields (row number, cells) for each row after the header, which is row 1."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise CategoryError(
            f"{path} must be a CSV file in UTF-8. Received: bytes of another encoding in row {row} "
            f"({error}). Save it again in UTF-8."
        ) from None
    reader = csv.reader(io.StringIO(text.rstrip() + "\n", newline=""), strict=True)
    number = 1
    try:
        header = tuple(next(reader))
        if header != COLUMNS:
            raise CategoryError(
                f"The first line of {path} must be {','.join(COLUMNS)}. "
                f"Received: {','.join(header) or 'an empty file'}."
            )
        for cells in reader:
            number += 1
            yield number, cells
    except csv.Error as error:
        raise CategoryError(
            f"Row {number + 1} of {path} must be cells separated by commas, and a quote that is "
            f'opened must be closed. Received: a row that is not ({error}). Is there a stray " in '
            "it?"
        ) from None


def _row(path: object, number: int, cells: list[str]) -> tuple[int, str, str, str]:
    """The row's values, checked."""
    if any(_SWALLOWED_ROW.search(cell) for cell in cells):
        raise CategoryError(
            f"Row {number} of {path} must close each quote that it opens. Received: a quoted cell "
            'that goes on into the next row. Add the missing ", or remove a stray one.'
        )
    if len(cells) != len(COLUMNS) or not all(cell.strip() for cell in cells):
        raise CategoryError(
            f"Row {number} of {path} must have {len(COLUMNS)} cells, none empty. Received: {cells}."
        )
    text = cells[0].strip()
    if not _WHOLE_NUMBER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise CategoryError(
            f"Row {number} of {path} must start with a category_id, a whole number of 64 bits. "
            f"Received: {cells[0]!r:.80}."
        )
    return int(text), cells[1], cells[2], cells[3]


def _by_first_appearance(values: Sequence[_Value]) -> tuple[np.ndarray, list[_Value]]:
    """(int32 label of each value, the distinct values in label order)."""
    labels: dict[_Value, int] = {}
    encoded = [labels.setdefault(value, len(labels)) for value in values]
    return np.array(encoded, np.int32), list(labels)
