"""The categories of a catalogue: their ids, their three levels, and `category_names.csv`."""

from __future__ import annotations

import csv
import io
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cdisc_tfds.catalogue.levels import JOINT, Path, Triple, path_of, plain_name, three_levels
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.categories import COLUMNS, Categories

# `0`, `17`, `-3`, but not `007`: two ids must never become the same number.
_CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,18}")


def canonical_number(text: str) -> int | None:
    """The int64 that Python would print as `text`, or None."""
    if not _CANONICAL.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        return None
    return int(text)


class CategoryKey(NamedTuple):
    """A category as a source names it; at least one of the two is not empty.

    Attributes:
      category_id: its id, or "".
      path: its levels, or ().
    """

    category_id: str
    path: Path

    def __str__(self) -> str:
        parts = [JOINT.join(self.path), self.category_id and f"id {self.category_id}"]
        return ", ".join(part for part in parts if part)


class CategoryTable:
    """The category_id of each key.

    Attributes:
      data: the bytes of category_names.csv.
      num_categories: its number of rows.
      drops_ids: whether the source's ids are no whole numbers, so that names alone count.
    """

    def __init__(self, data: bytes, num_categories: int, ids: Mapping[CategoryKey, int]):
        self.data, self.num_categories, self._ids = data, num_categories, ids
        self.drops_ids = False

    def category_id_of(self, key: CategoryKey) -> int | None:
        """The id, or None for a category that a given file does not hold."""
        return self._ids.get(key)

    @classmethod
    def from_file(cls, path: str, keys: Iterable[CategoryKey]) -> CategoryTable:
        """The categories of a user's file. A key is found by its id, else by its levels.

        Raises:
          CategoryError, WrongKindError: the file is unusable.
        """
        data = pathlib.Path(path).read_bytes()
        categories = Categories.parse(data, path)
        numbers = categories.category_ids.tolist()
        by_levels: dict[Triple, int | None] = {}
        for number, triple in zip(numbers, _triples(categories)):
            by_levels[triple] = None if triple in by_levels else number  # None: not unique
        known = set(numbers)
        ids = {}
        for key in keys:
            number = canonical_number(key.category_id)
            if number is None and key.path:
                number = by_levels.get(three_levels(key.path))
            if number is None and len(key.path) == 1:  # a column of ids under another name
                number = canonical_number(key.path[0])
            if number is not None and number in known:
                ids[key] = number
        return cls(data, len(numbers), ids)

    @classmethod
    def from_keys(cls, keys: Iterable[CategoryKey]) -> CategoryTable:
        """The categories that a source names, in the order of their levels.

        They keep their ids if all of these are whole numbers. Without ids, they get 1, 2, 3, ...

        Raises:
          CatalogueError: an id has several names, or categories without ids become the same.
        """
        keys = list(keys)
        paths = {key: key.path or path_of([key.category_id]) for key in keys}
        with_id = [key for key in keys if key.category_id]
        has_numbers = all(canonical_number(key.category_id) is not None for key in with_id)
        if with_id and has_numbers:
            ids = {key: int(key.category_id) for key in with_id}
            _require_one_name({key: paths[key] for key in with_id})
        else:
            numbers = _numbers_of(paths.values())
            ids = {key: numbers[path] for key, path in paths.items()}
        rows = sorted({(three_levels(paths[key]), number) for key, number in ids.items()})
        table = cls(_csv_bytes(rows), len(rows), ids)
        table.drops_ids = not has_numbers
        return table


def _require_one_name(paths: Mapping[CategoryKey, Path]) -> None:
    named: dict[int, Path] = {}
    for key, path in paths.items():
        if (other := named.setdefault(int(key.category_id), path)) != path:
            raise CatalogueError(
                f"A category_id must have one name. Received: {key.category_id} for both "
                f"{JOINT.join(other)!r} and {JOINT.join(path)!r}. Correct one, or leave the column "
                "of ids out: the command then numbers the categories."
            )


def _numbers_of(paths: Iterable[Path]) -> dict[Path, int]:
    """A number from 1 for each path, in the order of their levels."""
    by_levels: dict[Triple, Path] = {}
    for path in sorted(set(paths)):
        if (other := by_levels.setdefault(three_levels(path), path)) != path:
            raise CatalogueError(
                f"Categories must differ in their three levels. Received: {JOINT.join(other)!r} "
                f"and {JOINT.join(path)!r}, which both become "
                f"{' | '.join(three_levels(path))}. Rename one of them."
            )
    return {by_levels[triple]: number for number, triple in enumerate(sorted(by_levels), 1)}


def _csv_bytes(rows: Iterable[tuple[Triple, int]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((number, *triple) for triple, number in rows)
    return text.getvalue().encode()


def _triples(categories: Categories) -> list[Triple]:
    """The plain names of each category's levels."""
    level1 = [categories.level1_names[label] for label in categories.level1.tolist()]
    pairs = [categories.level2_names[label] for label in categories.level2.tolist()]
    return [
        (plain_name(one), plain_name(pair[len(one) + len(JOINT) :]), plain_name(three))
        for one, pair, three in zip(level1, pairs, categories.level3_names)
    ]
