"""A folder per category, nested as the levels are."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cdisc_tfds.catalogue.category_table import CategoryKey
from cdisc_tfds.catalogue.csv_source import read_from
from cdisc_tfds.catalogue.encoding import Opener, Picture
from cdisc_tfds.catalogue.levels import path_of
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.picture_files import PictureFolder
from cdisc_tfds.catalogue.plan import Plan, Row
from cdisc_tfds.catalogue.source import Found, OnRejected

# What systems leave in folders of pictures.
_LEFTOVERS = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
# "12_3", "12-3" and "12 (3)": the third picture of product 12.
_NUMBERED = re.compile(r"(.+?)(?:[_-][0-9]+| ?\([0-9]+\))")


class Place(NamedTuple):
    """Where a file lies: its folders below the root, and its name."""

    folders: tuple[str, ...]
    name: str


@dataclasses.dataclass(frozen=True)
class FileOpener:
    """Reads the files of a product, whose paths are relative to the folder."""

    folder: PictureFolder

    def open(self, payload: tuple[str, ...]) -> Iterator[Picture]:
        for name in payload:
            picture = read_from(self.folder, name)
            yield picture._replace(file=printable(name))


class FolderSource:
    """Every file is a picture; hidden files and what systems leave behind do not count.

    What a product is follows from `--product`: each file; the files whose names differ in a number
    at their end; or the innermost folder. A product's id is its own name if those all differ, else
    its path.
    """

    def __init__(self, options: CatalogueOptions):
        """Raises CatalogueError: it is not a folder."""
        assert options.folders is not None
        self.path = options.folders
        if not os.path.isdir(self.path):
            raise CatalogueError(f"--folders must be a folder. Received: {self.path}.")
        self._root = os.path.abspath(self.path)
        self._rule = options.product
        self.notes: list[str] = []
        self._ignored = self._files = 0

    def survey(
        self, plan: Plan, on_rejected: OnRejected, on_progress: Callable[[int], None]
    ) -> None:
        for place in self._walk((), on_rejected):
            folders, product = self._product(place)
            category = plan.category_index(CategoryKey("", path_of(map(printable, folders))))
            file = os.path.join(*place.folders, place.name)
            path = printable("/".join((*folders, product)))
            short = printable(os.path.splitext(product)[0] if self._rule == "file" else product)
            plan.add(Row(path, category, (file,), self._files, short))
            self._files += 1
            on_progress(self._files)
        if not self._files:
            raise CatalogueError(
                f"{self.path} must hold a folder of pictures for each category. Received: no files."
            )
        if self._ignored:
            self.notes.append(f"{self._ignored:,} hidden or system files do not count")

    def _product(self, place: Place) -> tuple[tuple[str, ...], str]:
        """The folders of a file's category, and the name of its product in them."""
        if self._rule == "folder":
            return place.folders[:-1], place.folders[-1] if place.folders else place.name
        if self._rule == "file":
            return place.folders, place.name
        stem = os.path.splitext(place.name)[0]
        match = _NUMBERED.fullmatch(stem)
        return place.folders, match[1] if match else stem

    def _walk(self, folders: tuple[str, ...], on_rejected: OnRejected) -> Iterator[Place]:
        """Yields the files below a folder: by name, those of a folder before its own folders'."""
        files, inner = [], []
        with os.scandir(os.path.join(self._root, *folders)) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.casefold() in _LEFTOVERS:
                    self._ignored += 1
                elif entry.is_dir():
                    inner.append((_in_order(entry.name), entry.name, entry.is_symlink()))
                else:
                    files.append((_in_order(entry.name), entry.name))
        for _, name in sorted(files):
            yield Place(folders, name)
        for _, name, is_link in sorted(inner):
            if is_link:
                shown = printable("/".join((*folders, name)))
                on_rejected(
                    "product", self._files, None, shown, "a link to a folder is not followed"
                )
            else:
                yield from self._walk((*folders, name), on_rejected)

    def products(self, plan: Plan) -> Iterator[Found]:
        for product in plan.products():
            yield Found(product, None, product.pictures)

    def opener(self) -> Opener:
        return FileOpener(PictureFolder(self._root))

    def made_from(self) -> dict[str, Any]:
        return {"folders": self._root}


def printable(name: str) -> str:
    """A file's name as text; bytes that are no UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _in_order(name: str) -> str:
    """A key that sorts 2.jpg before 10.jpg."""
    return re.sub("[0-9]+", lambda digits: digits[0].zfill(20), name)
