"""`category_names.csv` as label encodings of the three levels."""

from __future__ import annotations

import csv
import functools
import os

import numpy as np

COLUMNS = ("category_id", "category_level1", "category_level2", "category_level3")


class CategoryError(ValueError):
    """A category file that cannot be used, or a category that it does not have."""


class Categories:
    """The categories in the order of the CSV's rows, as the study numbers them.

    A category's label is its row (0 to 5269 in the competition's file: the study's `catID_encode`).
    Level 1 is numbered by first appearance of the name (49: `cat_1_encode`), level 2 by first
    appearance of the *pair* (level 1, level 2): 486, because three level-2 names stand under two
    level-1 names each. The study's `cat_2_encode` takes the name alone and so merges those three
    pairs: 483; `study_level2` holds it.

    Names are kept as they stand in the file, spaces at their edges included.

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
        """Reads the competition's `category_names.csv` (UTF-8, a header, quoted cells)."""
        with open(path, encoding="utf-8-sig", newline="") as file:
            try:
                table = list(csv.reader(file))
            except (UnicodeDecodeError, csv.Error) as error:
                raise CategoryError(
                    f"{path} must be a CSV file in UTF-8. Received: {error}."
                ) from None
        header = tuple(table[0]) if table else ()
        if header != COLUMNS:
            raise CategoryError(
                f"The first line of {path} must be {','.join(COLUMNS)}. "
                f"Received: {','.join(header) or 'an empty file'}."
            )
        rows, line_of = [], {}
        for line, cells in enumerate(table[1:], start=2):
            row = _row(path, line, cells)
            if (first := line_of.setdefault(row[0], line)) != line:
                raise CategoryError(
                    f"A category stands once in {path}. Received: {row[0]} in rows {first}, {line}."
                )
            rows.append(row)
        if not rows:
            raise CategoryError(f"{path} must have a row for each category. Received: none.")
        return cls(rows)

    @property
    def num_categories(self) -> int:
        return len(self.category_ids)

    @functools.cached_property
    def _label_of(self) -> dict[int, int]:
        return {category_id: label for label, category_id in enumerate(self.category_ids.tolist())}

    def label_of(self, category_id: int) -> int:
        """The label of a `category_id`; raises CategoryError if the file does not have it."""
        try:
            return self._label_of[category_id]
        except KeyError:
            raise CategoryError(
                f"A category must be one of the {self.num_categories} in category_names.csv. "
                f"Received: {category_id}."
            ) from None


def _row(path: object, line: int, cells: list[str]) -> tuple[int, str, str, str]:
    if len(cells) != len(COLUMNS) or not all(cell.strip() for cell in cells):
        raise CategoryError(
            f"Row {line} of {path} must have {len(COLUMNS)} cells, none empty. Received: {cells}."
        )
    try:
        category_id = int(cells[0])
    except ValueError:
        raise CategoryError(
            f"Row {line} of {path} must start with a whole number. Received: {cells[0]!r}."
        ) from None
    return category_id, cells[1], cells[2], cells[3]


def _by_first_appearance(values: list) -> tuple[np.ndarray, list]:
    """(int32 label of each value, the distinct values in label order)."""
    labels: dict = {}
    encoded = [labels.setdefault(value, len(labels)) for value in values]
    return np.array(encoded, np.int32), list(labels)
