"""Turns planned products into BSON documents; runs in the processes of a pool."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import bson

from cdisc_tfds.bson_file import MIN_DOCUMENT_BYTES
from cdisc_tfds.catalogue.fitted_picture import fitted_jpeg
from cdisc_tfds.catalogue.rejections import CatalogueRejection, shortened
from cdisc_tfds.picture_file import PictureError
from cdisc_tfds.records import MAX_PICTURES

# MongoDB's limit of a document; the build searches for no longer ones.
MAX_DOCUMENT_BYTES = 16 << 20
# Field names, types and lengths around a picture and its product.
_PICTURE_OVERHEAD, _PRODUCT_OVERHEAD = 64, 256


class Picture(NamedTuple):
    """A picture as its source holds it.

    Attributes:
      file: its name, or None without one.
      data: the bytes of its file, or the reason why there are none.
    """

    file: str | None
    data: bytes | PictureError


class Opener(Protocol):
    """Gets the pictures of a product. A process of the pool receives it pickled."""

    def open(self, payload: Any) -> Iterable[Picture]:
        """The pictures; `payload` is what the source put into the `Item`."""
        ...


@dataclasses.dataclass(frozen=True)
class Item:
    """A product to encode.

    Attributes:
      name: its id as the source has it.
      product_id: its `_id`.
      category_id: None for a product to predict.
      split: its split.
      place: rows, files or documents before it in the source.
      offset: of its document in a dump, or None.
      payload: what the `Opener` gets its pictures from.
    """

    name: str
    product_id: int
    category_id: int | None
    split: str
    place: int
    offset: int | None
    payload: Any


@dataclasses.dataclass(frozen=True)
class EncodeTask:
    """Some products to encode."""

    items: list[Item]
    opener: Opener
    max_size: int


@dataclasses.dataclass(frozen=True)
class EncodedProduct:
    """The document of a product, or None if it cannot be used.

    Attributes:
      item: the product, without its payload.
      document: BSON.
      pictures: number of pictures in it.
      rejections: what was left out.
    """

    item: Item
    document: bytes | None
    pictures: int
    rejections: list[CatalogueRejection]


def encode(task: EncodeTask) -> list[EncodedProduct]:
    """Encodes the products of a task, in order."""
    return [_encoded(item, task.opener, task.max_size) for item in task.items]


def _encoded(item: Item, opener: Opener, max_size: int) -> EncodedProduct:
    rejected: list[CatalogueRejection] = []
    jpegs = list(_jpegs(item, opener, max_size, rejected))
    rejected = shortened(rejected)
    bare = dataclasses.replace(item, payload=None)
    if not jpegs and item.category_id is not None:
        reasons = "; ".join(f"picture {one.picture}: {one.reason}" for one in rejected[:5])
        reason = f"a product to train on needs a picture ({reasons or 'it has none'})"
        rejected = [rejection_of(item, "product", reason)]
        return EncodedProduct(bare, None, 0, rejected)
    document: dict[str, Any] = {
        "_id": item.product_id,
        "imgs": [{"picture": jpeg} for jpeg in jpegs],
    }
    if item.category_id is not None:
        document["category_id"] = item.category_id
    return EncodedProduct(bare, bson.encode(document), len(jpegs), rejected)


def _jpegs(
    item: Item, opener: Opener, max_size: int, rejected: list[CatalogueRejection]
) -> Iterator[bytes]:
    """Yields the usable pictures; adds the others to `rejected`."""
    count, room = 0, MAX_DOCUMENT_BYTES - _PRODUCT_OVERHEAD - MIN_DOCUMENT_BYTES
    for position, picture in enumerate(opener.open(item.payload)):
        try:
            if isinstance(picture.data, PictureError):
                raise picture.data
            if count == MAX_PICTURES:
                raise PictureError(f"a product has at most {MAX_PICTURES} pictures")
            jpeg = fitted_jpeg(picture.data, max_size)
            if len(jpeg) + _PICTURE_OVERHEAD > room:
                raise PictureError(
                    f"the product's pictures have more than {MAX_DOCUMENT_BYTES:,} bytes, the most "
                    "that a document holds; a smaller --max_size makes them fit"
                )
        except PictureError as error:
            reason = str(error)
            rejected.append(rejection_of(item, "picture", reason, position, picture.file))
            continue
        count, room = count + 1, room - len(jpeg) - _PICTURE_OVERHEAD
        yield jpeg


def rejection_of(
    item: Item, kind: str, reason: str, picture: int | None = None, file: str | None = None
) -> CatalogueRejection:
    """The line for a product, or for one of its pictures."""
    return CatalogueRejection(
        item.split, kind, item.place, item.offset, item.name, picture, file, reason
    )
