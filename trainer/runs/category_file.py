"""`evaluation/SPLIT.categories.csv`: the results of an evaluation by category."""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterable

from trainer.runs.evaluation_companion import read_companion, write_companion


@dataclasses.dataclass(frozen=True)
class CategoryRow:
    """The products of a category at one level of the hierarchy.

    Attributes:
      level: 3 for the categories, 2 or 1 for the names of a coarser level.
      category_id: the competition's id; None at coarser levels.
      name: with the names of the levels above it.
      group: `head`, `middle` or `tail`, as in `FrequencyGroup`; None at coarser levels, or if the
        training split is unknown.
      training_products: None as for `group`.
      products: evaluated products of the category.
      predicted: products whose first guess it is.
      right: products of the category whose first guess it is.
    """

    level: int
    category_id: int | None
    name: str
    group: str | None
    training_products: int | None
    products: int
    predicted: int
    right: int

    @property
    def recall(self) -> float | None:
        """Share of the category's products that is recognised; None without products."""
        return self.right / self.products if self.products else None

    @property
    def precision(self) -> float | None:
        """Share of the products predicted as the category that are of it; None without."""
        return self.right / self.predicted if self.predicted else None


_FIELDS = tuple(field.name for field in dataclasses.fields(CategoryRow))
_COLUMNS = (*_FIELDS, "recall", "precision")


def path_beside(evaluation: pathlib.Path) -> pathlib.Path:
    """The path of the file that belongs to an evaluation's JSON file."""
    return evaluation.with_name(f"{evaluation.stem}.categories.csv")


def write_categories(path: pathlib.Path, rows: Iterable[CategoryRow]) -> str:
    """Writes the file, whole or not at all; fields without a value are empty.

    Returns:
      Its SHA-256.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(row, name) for name in _COLUMNS] for row in rows)
    return write_companion(path, text.getvalue().encode())


def read_categories(path: pathlib.Path, sha256: str) -> tuple[CategoryRow, ...]:
    """Reads what `write_categories` wrote; nothing if it is gone or another: `read_companion`."""
    content = read_companion(path, sha256, "categories")
    if content is None:
        return ()
    return tuple(
        CategoryRow(
            level=int(row["level"]),
            category_id=_number(row["category_id"]),
            name=row["name"],
            group=row["group"] or None,
            training_products=_number(row["training_products"]),
            products=int(row["products"]),
            predicted=int(row["predicted"]),
            right=int(row["right"]),
        )
        for row in csv.DictReader(io.StringIO(content.decode()))
    )


def _number(text: str) -> int | None:
    return int(text) if text else None
