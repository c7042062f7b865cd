"""What a catalogue will hold, in an SQLite database on the disk: memory stays flat.

A source first adds a row per line, file or document (`add`). `close_survey` then gives each product
its number and each category its id; `products` and `documents` yield them in the source's order.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdisc_tfds.catalogue.category_table import CategoryKey, canonical_number
from cdisc_tfds.catalogue.options import CatalogueError

MAX_CATEGORIES = 100_000  # kept in memory; more most likely means another column
_BATCH = 10_000  # rows per insert

_TABLES = """
    CREATE TABLE rows (
        row INTEGER PRIMARY KEY, product TEXT NOT NULL, short TEXT, category INTEGER,
        pictures TEXT NOT NULL, place INTEGER NOT NULL
    );
    CREATE TABLE ids (product TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
"""
_SURVEYED = """
    CREATE INDEX rows_by_product ON rows (product);
    CREATE TABLE products (number INTEGER PRIMARY KEY, product TEXT, first INTEGER);
    INSERT INTO products (product, first)
        SELECT product, MIN(row) FROM rows GROUP BY product ORDER BY MIN(row);
    CREATE UNIQUE INDEX products_by_name ON products (product);
"""


class Row(NamedTuple):
    """A line, file or document of a source.

    Attributes:
      product: id of its product, as the source has it.
      category: index of its category (`Plan.category_index`), or None.
      pictures: its pictures, as the source has them.
      place: the rows, files or documents before it.
      short: a shorter id, which counts if all products have one of their own; None without.
    """

    product: str
    category: int | None
    pictures: tuple[str, ...]
    place: int
    short: str | None = None


class PlannedProduct(NamedTuple):
    """A product, or a document of a dump.

    Attributes:
      name: its id as the source has it.
      product_id: its `_id`.
      categories: distinct indexes of the categories that its rows name.
      pictures: those of its rows, in order.
      place: that of its first row.
      is_first: False for a document with the id of an earlier one.
    """

    name: str
    product_id: int
    categories: tuple[int, ...]
    pictures: tuple[str, ...]
    place: int
    is_first: bool = True


class Plan:
    """The database, and the categories in memory.

    Attributes:
      categories: each distinct category, in order of appearance.
      has_numbers: whether each product keeps its id, a whole number. Final after `close_survey`.
      num_rows, num_products: counts; the second from `close_survey` on.
    """

    def __init__(self, path: pathlib.Path):
        """Args: path: a file that does not exist yet."""
        self._database = sqlite3.connect(path, isolation_level=None)
        # The file is deleted after the run, so it needs no protection from crashes.
        self._database.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; {_TABLES}"
        )
        self.categories: list[CategoryKey] = []
        self._index: dict[CategoryKey, int] = {}
        self._waiting: list[tuple[object, ...]] = []
        self.has_numbers = self._short_numbers = True
        self.num_rows = self.num_products = 0

    def close(self) -> None:
        self._database.close()

    def category_index(self, key: CategoryKey) -> int | None:
        """The index of a category in `categories`, added if it is new; None for an empty key.

        Raises:
          CatalogueError: there are too many.
        """
        if not key.category_id and not key.path:
            return None
        index = self._index.get(key)
        if index is None:
            if len(self.categories) == MAX_CATEGORIES:
                raise CatalogueError(
                    f"A catalogue has at most {MAX_CATEGORIES:,} categories. Received: more; for "
                    f"example {key}. Does another column hold the categories?"
                )
            index = self._index[key] = len(self.categories)
            self.categories.append(key)
        return index

    def add(self, row: Row) -> None:
        self.has_numbers = self.has_numbers and canonical_number(row.product) is not None
        if row.short is not None and self._short_numbers:
            self._short_numbers = canonical_number(row.short) is not None
        pictures = json.dumps(row.pictures)
        self._waiting.append((row.product, row.short, row.category, pictures, row.place))
        self.num_rows += 1
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._insert(
            "INSERT INTO rows (product, short, category, pictures, place) VALUES (?, ?, ?, ?, ?)",
            self._waiting,
        )
        self._waiting.clear()

    def _insert(self, statement: str, values: Iterable[tuple[object, ...]]) -> None:
        """Runs a statement for each tuple, in one transaction."""
        self._database.execute("BEGIN")
        self._database.executemany(statement, values)
        self._database.execute("COMMIT")

    def close_survey(self, known: Iterable[tuple[str, int]] | None, least: int) -> None:
        """Gives each product its `_id`.

        Args:
          known: (name, `_id`) of products that have one from an earlier run; None if ids that are
            whole numbers stay as they are.
          least: the smallest number for a product that needs one.
        """
        self._flush()
        execute = self._database.execute
        self._shorten_names()
        self._database.executescript(_SURVEYED)
        (self.num_products,) = execute("SELECT COUNT(*) FROM products").fetchone()
        if known is None and self.has_numbers:
            execute("INSERT INTO ids SELECT product, CAST(product AS INTEGER) FROM products")
            return
        self.has_numbers = False
        try:
            self._insert("INSERT INTO ids VALUES (?, ?)", known or ())
        except sqlite3.IntegrityError:
            raise CatalogueError(
                "Each product must stand once in product_ids.csv, with a number of its own. "
                "Received: a table in which one does not. Use the one that this command wrote."
            ) from None
        (largest,) = execute("SELECT COALESCE(MAX(id), 0) FROM ids").fetchone()
        execute(
            "INSERT INTO ids SELECT product, ? + ROW_NUMBER() OVER (ORDER BY number) FROM products "
            "WHERE product NOT IN (SELECT product FROM ids)",
            (max(largest, least - 1),),
        )

    def _shorten_names(self) -> None:
        """Takes the short ids if they tell the products apart."""
        (products, shorts, without) = self._database.execute(
            "SELECT COUNT(DISTINCT product), COUNT(DISTINCT short), SUM(short IS NULL) FROM rows"
        ).fetchone()
        if not without and products == shorts:
            self._database.execute("UPDATE rows SET product = short")
            self.has_numbers = self._short_numbers

    def largest_id(self) -> int:
        """The largest `_id`, or 0."""
        (largest,) = self._database.execute("SELECT COALESCE(MAX(id), 0) FROM ids").fetchone()
        return max(int(largest), 0)

    def ids(self) -> Iterator[tuple[int, str]]:
        """(`_id`, name) of each product, by `_id`."""
        yield from self._database.execute("SELECT id, product FROM ids ORDER BY id")

    def products(self) -> Iterator[PlannedProduct]:
        """Each product once, with the pictures of all its rows."""
        found = self._database.execute(
            "SELECT products.number, products.product, ids.id, category, pictures, place "
            "FROM products JOIN ids ON ids.product = products.product "
            "JOIN rows ON rows.product = products.product ORDER BY products.number, rows.row"
        )
        for _, group in itertools.groupby(found, key=lambda values: values[0]):
            lines = list(group)
            _, name, product_id, _, _, place = lines[0]
            categories = dict.fromkeys(line[3] for line in lines if line[3] is not None)
            pictures = [picture for line in lines for picture in json.loads(line[4])]
            yield PlannedProduct(name, product_id, tuple(categories), tuple(pictures), place)

    def documents(self) -> Iterator[PlannedProduct]:
        """A product per row, in the order of the rows."""
        found = self._database.execute(
            "SELECT rows.product, ids.id, category, place, products.first = rows.row FROM rows "
            "JOIN products ON products.product = rows.product "
            "JOIN ids ON ids.product = rows.product ORDER BY rows.row"
        )
        for name, product_id, category, place, is_first in found:
            categories = () if category is None else (category,)
            yield PlannedProduct(name, product_id, categories, (), place, bool(is_first))
