"""Makes the competition's files from a shop's own: a survey of all rows, then the pictures."""

from __future__ import annotations

import concurrent.futures.process
import contextlib
import dataclasses
import errno
import functools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from typing import IO, Any

import xxhash

from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.catalogue import rejections
from cdisc_tfds.catalogue.category_table import CategoryTable
from cdisc_tfds.catalogue.csv_source import CsvSource
from cdisc_tfds.catalogue.dump_source import DumpSource
from cdisc_tfds.catalogue.encoding import Item
from cdisc_tfds.catalogue.folder_source import FolderSource
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.output import (
    PRODUCT_IDS,
    PRODUCT_IDS_HEADER,
    OutputFolder,
)
from cdisc_tfds.catalogue.plan import Plan, PlannedProduct
from cdisc_tfds.catalogue.rejections import CatalogueRejection, RejectionList
from cdisc_tfds.catalogue.source import Source
from cdisc_tfds.catalogue.writing import Candidate, CatalogueWriter, write_products
from cdisc_tfds.manual_files import CATEGORIES
from cdisc_tfds.whole_files import whole_file

# (what is counted, number done, total or None)
OnProgress = Callable[[str, int, int | None], None]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run wrote.

    Attributes:
      files: counts of each file (products, pictures, categories, rows), by its name.
      rejected: number of rejected items by kind.
      notes: what the user should know.
    """

    files: dict[str, dict[str, int]]
    rejected: dict[str, int]
    notes: list[str]


def make_catalogue(
    options: CatalogueOptions, on_progress: OnProgress = lambda what, done, total: None
) -> Summary:
    """Writes the files; each appears whole or not at all.

    Args:
      options: what to read and how.
      on_progress: called often.

    Raises:
      CatalogueError: something is missing or wrong; the message says what.
      BsonError, WrongKindError, CategoryError, OSError: an input cannot be read.
    """
    folder = OutputFolder(options.output_dir, options.split == "test")
    source = _source(options)
    made_from = {**_identity(source, options), "options": options.that_shape_the_files()}
    with folder.locked(), folder.plan_path() as path, contextlib.closing(Plan(path)) as plan:
        folder.require_free(options.overwrite, made_from)
        run = _Run(options, folder, source, plan, made_from)
        try:
            return run.write(on_progress)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise CatalogueError(
                "A process was ended from outside: by a user, or by the system because memory was "
                f"short. The run used {options.num_processes}; use fewer with --processes."
            ) from error
        except (OSError, sqlite3.OperationalError) as error:
            if not _is_about_space(error):
                raise
            raise CatalogueError(
                f"The disk of {folder.path} (or a limit on file sizes) is full: {error}. Nothing "
                "was written. Make room, or choose another --output_dir."
            ) from error


def _is_about_space(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return "disk is full" in str(error)  # its code has a name only from Python 3.11 on


def _source(options: CatalogueOptions) -> Source:
    if options.csv is not None:
        return CsvSource(options)
    if options.folders is not None:
        return FolderSource(options)
    return DumpSource(options)


def _identity(source: Source, options: CatalogueOptions) -> dict[str, Any]:
    identity = source.made_from()
    if options.category_names is not None:
        if not os.path.isfile(options.category_names):
            raise CatalogueError(
                f"--category_names must be a file. Received: {options.category_names}."
            )
        names = SourceFile.of(options.category_names)
        identity["category_names"] = names.to_metadata()
    return identity


@dataclasses.dataclass(frozen=True)
class _Run:
    options: CatalogueOptions
    folder: OutputFolder
    source: Source
    plan: Plan
    made_from: dict[str, Any]

    def write(self, on_progress: OnProgress) -> Summary:
        with contextlib.ExitStack() as stack:
            writer = CatalogueWriter(self.folder, stack)
            lines = functools.partial(writer.file, rejections.FILE, "w", encoding="utf-8")
            for line in self.folder.kept_rejections():
                lines().write(line)
            rejected = RejectionList(lines)
            self.source.survey(
                self.plan, self._reject_to(rejected), lambda done: on_progress("rows", done, None)
            )
            self.plan.close_survey(self.folder.known_ids(), self.folder.least_id)
            table = self._categories()
            with _listed_on_error(self.folder, lines), Pool(self.options.num_processes) as pool:
                write_products(
                    self._candidates(table),
                    self.source.opener(),
                    self.options.max_size,
                    pool=pool,
                    writer=writer,
                    rejected=rejected,
                    keep_going=self.options.keep_going,
                    on_progress=lambda done: on_progress("products", done, self._total),
                )
                self._require_usable(writer, rejected)
            self._write_tables(writer, table)
            if rejections.FILE in writer.counts:
                writer.counts[rejections.FILE].update(rejected.counts)
            files = {name: dict(counts) for name, counts in writer.counts.items()}
            self.folder.begin_replacement(files)
        notes = [*self.source.notes, *self._notes(table)]
        self.folder.end_replacement(files, self.made_from, self.plan.largest_id())
        return Summary(files, dict(rejected.counts), notes)

    @property
    def _total(self) -> int:
        return self.plan.num_rows if self.options.dump is not None else self.plan.num_products

    def _reject_to(self, rejected: RejectionList) -> Callable[..., None]:
        split = self.options.split or "train"

        def reject(
            kind: str, place: int, offset: int | None, product: str | None, reason: str
        ) -> None:
            line = CatalogueRejection(split, kind, place, offset, product, None, None, reason)
            rejected.add([line])

        return reject

    def _categories(self) -> CategoryTable:
        keys = self.plan.categories
        if not keys and self.options.split is None:
            raise CatalogueError(
                f"Products to train on must have a category. Received: {self.source.path}, none of "
                "whose products has one. If they are to be predicted, add --split=test; if not, "
                "say where their category is with --category."
            )
        names = self.options.category_names
        mine = self.folder.path / CATEGORIES
        if names is None and self.folder.test_only and mine.exists():
            names = os.fspath(mine)
        if names is not None:
            return CategoryTable.from_file(names, keys)
        return CategoryTable.from_keys(keys)

    def _candidates(self, table: CategoryTable) -> Iterator[Candidate]:
        """Each product: to write, or with the reason why not."""
        for found in self.source.products(self.plan):
            product = found.product
            category_id, fault = self._category_of(product, table)
            split = self._split_of(product)
            place = (product.place, found.offset, product.name)
            if not product.is_first:
                fault = "an earlier product has the same id"
            elif split == "test":
                fault = None  # a product to predict needs no category
            if fault is not None:
                line = CatalogueRejection(split, "product", *place, None, None, fault)
                yield Candidate(None, None, line)
                continue
            is_train = split == "train"
            item = Item(
                product.name,
                product.product_id,
                category_id if is_train else None,
                split,
                product.place,
                found.offset,
                found.payload,
            )
            yield Candidate(item, None if is_train else category_id)

    def _split_of(self, product: PlannedProduct) -> str:
        if self.options.split is not None:
            return self.options.split
        if not product.categories:
            return "test"
        # By its id: a product stays on its side when others come or go.
        place = xxhash.xxh3_64_intdigest(product.name.encode()) / 2**64
        return "test" if place < self.options.test_share else "train"

    def _category_of(
        self, product: PlannedProduct, table: CategoryTable
    ) -> tuple[int | None, str | None]:
        """(category_id, None), or (None, the reason why there is none)."""
        if not product.categories:
            return None, "it has no category"
        keys = [self.plan.categories[index] for index in product.categories]
        ids = {table.category_id_of(key) for key in keys}
        if len(ids) > 1:
            return None, f"its rows name several categories: {'; '.join(map(str, keys))}"
        (category_id,) = ids
        if category_id is None:
            return None, f"category_names.csv has no category {keys[0]}"
        return category_id, None

    def _require_usable(self, writer: CatalogueWriter, rejected: RejectionList) -> None:
        listed = os.fspath(self.folder.path / rejections.FAILED_FILE)
        if not writer.products:
            raise CatalogueError(
                f"A catalogue must have products. Received: {self.source.path}, none of whose "
                f"{rejected.counts['product']:,} can be used; {listed} gives the reason for each."
            )
        if not self.options.keep_going:
            rejected.require_most(writer.products, writer.pictures, listed)

    def _write_tables(self, writer: CatalogueWriter, table: CategoryTable) -> None:
        if not self.plan.has_numbers:
            writer.table(PRODUCT_IDS, PRODUCT_IDS_HEADER, self.plan.ids())
            writer.counts[PRODUCT_IDS]["products"] = self.plan.num_products
        keeps_names = self.folder.test_only and (self.folder.path / CATEGORIES).exists()
        if table.num_categories and not keeps_names:
            writer.file(CATEGORIES).write(table.data)
            writer.counts[CATEGORIES]["categories"] = table.num_categories

    def _notes(self, table: CategoryTable) -> Iterator[str]:
        if table.drops_ids:
            yield ("the category ids are no whole numbers, so the categories were numbered by name")
        if not self.plan.has_numbers:
            yield (
                f"the product ids are no whole numbers, so each product got one: {PRODUCT_IDS} "
                "has both"
            )
        separator = self.options.category_separator
        paths = [key.path for key in self.plan.categories if key.path]
        if paths and all(len(path) == 1 for path in paths) and self.options.folders is None:
            for other in ("/", "|", "»", "::", " - "):
                if other != separator and all(other in path[0] for path in paths):
                    yield (
                        f"no category has {separator!r} between its levels, but all have "
                        f"{other!r}: --category_separator={other!r} divides them"
                    )
                    return


@contextlib.contextmanager
def _listed_on_error(folder: OutputFolder, open_lines: Callable[[], IO[str]]) -> Iterator[None]:
    """Keeps the list of rejected items if the run fails because of them."""
    try:
        yield
    except CatalogueError:
        lines = open_lines()
        lines.flush()
        with open(lines.name, "rb") as partial:
            with whole_file(folder.path / rejections.FAILED_FILE) as kept:
                shutil.copyfileobj(partial, kept)
        raise
