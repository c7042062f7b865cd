"""A dump of MongoDB whose fields are mapped to a product's."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import bson

from cdisc_tfds.bson_file import BsonError, decode_document
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.catalogue.category_table import CategoryKey
from cdisc_tfds.catalogue.csv_source import read_from
from cdisc_tfds.catalogue.dump_file import DumpFile, RawDocument
from cdisc_tfds.catalogue.encoding import Opener, Picture
from cdisc_tfds.catalogue.levels import path_of
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.picture_files import PictureFolder
from cdisc_tfds.catalogue.plan import Plan, Row
from cdisc_tfds.catalogue.source import Found, OnRejected
from cdisc_tfds.picture_file import PictureError

# The competition's fields.
_ID, _CATEGORY, _PICTURES = "_id", "category_id", "imgs.picture"


def values_at(document: Any, field: str) -> list[Any]:
    """All values of a field, such as `imgs.picture`; a list on the way stands for its entries."""
    values = [document]
    for name in field.split("."):
        values = [entry for value in values for entry in _entries(value)]
        values = [value[name] for value in values if isinstance(value, dict) and name in value]
    return [entry for value in values for entry in _entries(value) if entry is not None]


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    """An id or a name as text: `5.0` and `5` are the same number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


@dataclasses.dataclass(frozen=True)
class DocumentOpener:
    """Gets pictures from the documents themselves, or from files that they name."""

    fields: tuple[str, ...]
    folder: PictureFolder | None

    def open(self, payload: bytes) -> Iterator[Picture]:
        document = decode_document(payload)
        for field in self.fields:
            for value in values_at(document, field):
                yield from self._pictures(value)

    def _pictures(self, value: Any) -> Iterator[Picture]:
        if isinstance(value, bytes):
            yield Picture(None, value)
        elif isinstance(value, str) and self.folder is not None:
            for name in self.folder.names(value):
                yield read_from(self.folder, name)
        elif isinstance(value, str):
            reason = "it is text, not a picture; --images says in which folder files are"
            yield Picture(value[:200], PictureError(reason))
        else:
            yield Picture(None, PictureError(f"it is no picture but {type(value).__name__}"))


class DumpSource:
    """A document is a product; of several with the same id, the first counts."""

    def __init__(self, options: CatalogueOptions):
        """Raises CatalogueError, WrongKindError, BsonError: the dump cannot be read."""
        assert options.dump is not None
        self.path = options.dump
        self._dump = DumpFile.open(self.path, options.collection)
        self._file = SourceFile.of(self.path)
        self._id = options.product_id or _ID
        self._category_id = options.category_id
        self._category = options.category
        if not self._category and self._category_id is None:
            self._category_id = _CATEGORY
        self._separator = options.category_separator
        self._fields = options.pictures or (_PICTURES,)
        self._keep_going = options.keep_going
        self._folder: PictureFolder | None = None
        if options.images is not None:
            if not os.path.isdir(options.images):
                raise CatalogueError(f"--images must be a folder. Received: {options.images}.")
            root = os.path.abspath(options.images)
            self._folder = PictureFolder(root, options.picture_separator)
        self.notes = [self._told()]

    def _told(self) -> str:
        category = [self._category_id, *self._category]
        named = ", ".join(name for name in category if name)
        collection = f"collection {self._dump.collection}; " if self._dump.collection else ""
        return (
            f"{collection}fields: product id = {self._id}; category = {named}; pictures = "
            f"{', '.join(self._fields)}"
        )

    def survey(
        self, plan: Plan, on_rejected: OnRejected, on_progress: Callable[[int], None]
    ) -> None:
        count, first = 0, None
        with self._file.unchanged():
            for raw in self._documents(on_rejected):
                document = self._add(plan, count, raw, on_rejected)
                first = first if first is not None else document
                count += 1
                on_progress(count)
        if not plan.num_rows:
            fields = f" The fields of the first are: {', '.join(first)}." if first else ""
            raise CatalogueError(
                f"The documents of {self.path} must have the field {self._id}, or another that "
                f"--id names. Received: {count:,} documents, none of which has it.{fields}"
            )
        self._require_fields(plan, first or {})

    def _add(
        self, plan: Plan, count: int, raw: RawDocument, on_rejected: OnRejected
    ) -> dict[str, Any] | None:
        """Adds a document to the plan; returns it, or None if it does not parse."""
        try:
            document = decode_document(raw.data)
        except bson.errors.InvalidBSON as error:
            reason = f"the document does not parse ({error})"
            on_rejected("product", count, raw.offset, None, reason)
            return None
        found = values_at(document, self._id)
        if len(found) == 1 and not isinstance(found[0], dict) and text_of(found[0]):
            category = plan.category_index(self._category_of(document))
            plan.add(Row(text_of(found[0]), category, (), count))
        else:
            reason = f"the document has {len(found)} values of `{self._id}`, not one"
            on_rejected("product", count, raw.offset, None, reason)
        return document

    def _require_fields(self, plan: Plan, first: dict[str, Any]) -> None:
        """Raises CatalogueError if the first document has no picture and no document a category."""
        if not any(values_at(first, field) for field in self._fields):
            self.notes.append(
                f"the first document has no {', '.join(self._fields)}; its fields are: "
                f"{', '.join(first)}"
            )
        if not plan.categories and (self._category or self._category_id != _CATEGORY):
            raise CatalogueError(
                "A document must have the fields of --category or --category_id. Received: none "
                f"that has them. The fields of the first are: {', '.join(first)}."
            )

    def _documents(self, on_rejected: OnRejected | None = None) -> Iterator[RawDocument]:
        """The documents; with --keep_going, those before damage."""
        count = 0
        try:
            for raw in self._dump.documents():
                yield raw
                count += 1
        except BsonError as error:
            if not self._keep_going:
                raise
            if on_rejected is not None:
                reason = f"the rest of the dump: expected {error.expected}, "
                reason += f"received {error.received}"
                on_rejected("bytes", count, error.offset, None, reason)

    def _category_of(self, document: dict[str, Any]) -> CategoryKey:
        number = ""
        if self._category_id is not None:
            found = values_at(document, self._category_id)
            number = text_of(found[0]) if len(found) == 1 else ""
        names = [text_of(one) for field in self._category for one in values_at(document, field)]
        if len(names) == 1:
            names = names[0].split(self._separator)
        return CategoryKey(number, path_of(names))

    def products(self, plan: Plan) -> Iterator[Found]:
        raw_of = enumerate(self._documents())
        with self._file.unchanged():
            for product in plan.documents():
                raw = next(raw for place, raw in raw_of if place == product.place)
                yield Found(product, raw.offset, raw.data)

    def opener(self) -> Opener:
        return DocumentOpener(self._fields, self._folder)

    def made_from(self) -> dict[str, Any]:
        images = None if self._folder is None else self._folder.root
        return {"dump": self._file.to_metadata(), "images": images}
