"""A table of products with the names of their picture files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.catalogue.category_table import CategoryKey
from cdisc_tfds.catalogue.columns import find_columns
from cdisc_tfds.catalogue.encoding import Opener, Picture
from cdisc_tfds.catalogue.levels import path_of
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.picture_files import PictureFolder
from cdisc_tfds.catalogue.plan import Plan, Row
from cdisc_tfds.catalogue.source import Found, OnRejected
from cdisc_tfds.picture_file import PictureError
from cdisc_tfds.table_cells import row_name
from cdisc_tfds.table_file import TableFile


@dataclasses.dataclass(frozen=True)
class CellOpener:
    """Reads the files that a product's cells name; a file that is named again counts once."""

    folder: PictureFolder

    def open(self, payload: tuple[str, ...]) -> Iterator[Picture]:
        names = dict.fromkeys(name for cell in payload for name in self.folder.names(cell))
        for name in names:
            yield read_from(self.folder, name)


def read_from(folder: PictureFolder, name: str) -> Picture:
    """A file of a folder as a picture."""
    try:
        return Picture(name, folder.read(name))
    except PictureError as error:
        return Picture(name, error)


def _opened(path: str, delimiter: str | None) -> TableFile:
    try:
        return TableFile.open(path, CatalogueError, delimiter, certain=True)
    except OSError as error:
        raise CatalogueError(
            f"--csv must be a file that can be read. Received: {path} ({error.strerror})."
        ) from None


class CsvSource:
    """Rows with the same product id are one product, whose pictures are those of all rows."""

    def __init__(self, options: CatalogueOptions):
        """Raises CatalogueError, WrongKindError: the table cannot be read, or lacks columns."""
        assert options.csv is not None
        self.path = options.csv
        self._table = _opened(self.path, options.delimiter)
        self._file = SourceFile.of(self.path)
        self._columns = find_columns(self._table.columns, options, self.path)
        self._separator = options.category_separator
        root = options.images or os.path.dirname(os.path.abspath(self.path))
        if not os.path.isdir(root):
            raise CatalogueError(f"--images must be a folder. Received: {root}.")
        self._folder = PictureFolder(os.path.abspath(root), options.picture_separator)
        number = self._columns.category_id
        self._number_place = None if number is None else self._places(number)[0]
        self._level_places = self._places(*self._columns.category)
        self._known: dict[tuple[str, ...], int | None] = {}  # by the cells of a category
        self.notes = [f"columns: {self._columns}"]
        if self._table.is_latin:
            self.notes.append(
                f"{self.path} is not UTF-8, so it was read as Latin-1 ({self._table.encoding}): "
                "check names with accents in category_names.csv, or save it in UTF-8"
            )

    def survey(
        self, plan: Plan, on_rejected: OnRejected, on_progress: Callable[[int], None]
    ) -> None:
        width = len(self._table.columns)
        by = self._columns.product_id
        id_place = None if by is None else self._places(by)[0]
        pictures = self._places(*self._columns.pictures)
        with self._file.unchanged():
            for count, line in enumerate(self._table.rows()):
                cells = line.cells
                if len(cells) > width:
                    reason = f"line {line.number} has {len(cells)} cells, the header {width}"
                    on_rejected("product", count, None, None, reason)
                    continue
                product = row_name(count + 1) if id_place is None else cells[id_place].strip()
                if not product:
                    reason = f"line {line.number} has no {by}"
                    on_rejected("product", count, None, None, reason)
                    continue
                category = self._category(plan, cells)
                filled = tuple(cells[place] for place in pictures if cells[place].strip())
                plan.add(Row(product, category, filled, count))
                on_progress(count + 1)
        if not plan.num_rows:
            raise CatalogueError(f"{self.path} must have rows of products. Received: none.")

    def _places(self, *names: str) -> list[int]:
        return [self._table.columns.index(name) for name in names]

    def _category(self, plan: Plan, cells: list[str]) -> int | None:
        """The index of a row's category in the plan."""
        number = "" if self._number_place is None else cells[self._number_place].strip()
        names = [cells[place] for place in self._level_places]
        raw = (number, *names)
        if raw not in self._known:
            levels = names[0].split(self._separator) if len(names) == 1 else names
            self._known[raw] = plan.category_index(CategoryKey(number, path_of(levels)))
        return self._known[raw]

    def products(self, plan: Plan) -> Iterator[Found]:
        for product in plan.products():
            yield Found(product, None, product.pictures)

    def opener(self) -> Opener:
        return CellOpener(self._folder)

    def made_from(self) -> dict[str, Any]:
        return {"csv": self._file.to_metadata(), "images": self._folder.root}
