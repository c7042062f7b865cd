"""Turns a document into a record: checks the product and encodes it.

A record is a serialized `tf.train.Example` with the features of the data set:

    product_id    int64             the document's `_id`; also the record's key
    images        bytes [pictures]  JPEG files, byte for byte as in the document
    image_hashes  int64 [pictures]  XXH3 (64 bits, as a signed integer) of each picture's file
    category      int64             row of the category in category_names.csv, -1 if unlabelled
    level1        int64             label of its level 1, -1 if unlabelled
    level2        int64             label of its (level 1, level 2), -1 if unlabelled

This module encodes records by hand: that is several times faster than protobuf's Python, needs no
TensorFlow, and always gives the same bytes (features in name order; protobuf maps are unordered).
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import bson
import xxhash

from cdisc_tfds.categories import Categories, CategoryError
from cdisc_tfds.jpeg import jpeg_fault

UNLABELLED = -1
_HASH = xxhash.xxh3_64_intdigest  # unsigned
# A split's index stores the number of a product's pictures in one byte.
MAX_PICTURES = 255
# The number of unusable pictures to list per product; the rest are only counted.
MAX_NAMED_PICTURES = 100
_MAX_NAMED_IN_MESSAGE = 5


class RejectedProduct(ValueError):
    """The document cannot become a record; the message says why."""


@dataclasses.dataclass(frozen=True)
class RejectedPicture:
    """A picture that its product's record omits.

    Attributes:
      position: position of the picture in `imgs`, from 0.
      reason: what is wrong with it.
      count: number of pictures that this covers: itself and later ones that are not listed.
    """

    position: int
    reason: str
    count: int = 1


class Product(NamedTuple):
    """One product, checked.

    Attributes:
      product_id: the document's `_id`.
      images: its JPEG files.
      category: label (row of the CSV, not `category_id`), or -1.
      rejected: the unusable pictures.
    """

    product_id: int
    images: list[bytes]
    category: int = UNLABELLED
    rejected: tuple[RejectedPicture, ...] = ()


def image_hash(image: bytes) -> int:
    """XXH3 of a picture's file: 64 bits as a signed integer; equal files have equal hashes.

    MD5 would take as long as the rest of making a record. Among the competition's 15 million
    pictures, the chance that any two different ones share a hash is 1 in 160,000.
    """
    number = _HASH(image)
    return number - (number >> 63 << 64)


def product_of(
    document: dict[str, Any],
    categories: Categories,
    labelled: bool,
    known_usable: int | None = None,
) -> Product:
    """The product in a document.

    It accepts whole numbers in any form (int32, int64, 5.0, "5") and fields in any order, and
    ignores unused fields. It drops pictures that no decoder would accept and lists them in
    `rejected`.

    Args:
      document: `_id`, `imgs` (a list of `{"picture": bytes}`) and, if labelled, `category_id`.
      categories: the allowed values of `category_id`.
      labelled: True for a split to train on: a product needs a known category and a usable
        picture. False for a split to predict: it keeps products without either.
      known_usable: number of usable pictures that an earlier reading of the document found; if it
        is all of them, their headers are not checked again.

    Raises:
      RejectedProduct: the product is unusable.
    """
    product_id = _whole_number(document, "_id")
    images, rejected = _pictures(document.get("imgs"), labelled, known_usable)
    if labelled and not images:
        raise RejectedProduct(
            "a product to train on needs a picture that can be decoded"
            f" ({_reasons(rejected) or 'it has no pictures'})"
        )
    try:
        category = categories.label_of(_whole_number(document, "category_id"))
    except (RejectedProduct, CategoryError) as error:
        if labelled:
            raise RejectedProduct(str(error)) from None
        category = UNLABELLED
    return Product(product_id, images, category, tuple(rejected))


def _reasons(rejected: list[RejectedPicture]) -> str:
    named = rejected[:_MAX_NAMED_IN_MESSAGE]
    text = "; ".join(f"picture {bad.position}: {bad.reason}" for bad in named)
    more = sum(bad.count for bad in rejected[_MAX_NAMED_IN_MESSAGE:])
    return f"{text}; and {more:,} more" if more else text


def _whole_number(document: dict[str, Any], field: str) -> int:
    """The field as an int64, from any number type."""
    value = document.get(field)
    number = None
    if type(value) is int:  # the usual case
        number = value
    elif isinstance(value, str):
        if value.isascii() and value.isdecimal() and len(value) < 20:
            number = int(value)
    elif isinstance(value, (bson.Int64, float)) and value == value // 1:
        number = int(value)
    if number is None or not -(2**63) <= number < 2**63:
        received = f"{value!r:.80} ({type(value).__name__})" if field in document else "none"
        raise RejectedProduct(f"`{field}` must be a whole number of 64 bits. Received: {received}.")
    return number


def _pictures(
    imgs: Any, labelled: bool, known_usable: int | None
) -> tuple[list[bytes], list[RejectedPicture]]:
    """The usable pictures, and the others."""
    if not isinstance(imgs, list):
        if not labelled:
            return [], [RejectedPicture(0, f"`imgs` is no list but {type(imgs).__name__}")]
        raise RejectedProduct(
            f"`imgs` must be a list of {{picture: binary}}. Received: {type(imgs).__name__}."
        )
    images: list[bytes] = []
    rejected: list[RejectedPicture] = []
    unnamed: RejectedPicture | None = None
    all_known = len(imgs) == known_usable
    for position, entry in enumerate(imgs):
        picture: Any = entry.get("picture") if isinstance(entry, dict) else None
        fault: str | None
        if not isinstance(picture, bytes):
            fault = "it has no binary field `picture`"
        elif len(images) == MAX_PICTURES:
            fault = f"a product has at most {MAX_PICTURES} pictures"
        else:
            fault = None if all_known else jpeg_fault(picture)
        if fault is None:
            images.append(bytes(picture))  # the same object, unless it has another BSON subtype
        elif len(rejected) < MAX_NAMED_PICTURES:
            rejected.append(RejectedPicture(position, fault))
        elif unnamed is None:
            unnamed = RejectedPicture(position, fault)
        else:
            unnamed = dataclasses.replace(unnamed, count=unnamed.count + 1)
    return images, rejected if unnamed is None else [*rejected, unnamed]


def example_of(product: Product, categories: Categories) -> dict[str, Any]:
    """The product as a dict for `tfds` to encode: the reference for `serialize`."""
    known = product.category != UNLABELLED
    return {
        "product_id": product.product_id,
        "images": product.images,
        "image_hashes": [image_hash(image) for image in product.images],
        "category": product.category,
        "level1": int(categories.level1[product.category]) if known else UNLABELLED,
        "level2": int(categories.level2[product.category]) if known else UNLABELLED,
    }


class RecordEncoder:
    """Serializes products as `tf.train.Example`s.

    In protobuf's wire format an Example is `0A n Features`, Features are map entries
    `0A n (0A n name, 12 n Feature)`, and a Feature is `0A n (0A n bytes)*` for bytes or
    `1A n (0A n varint*)` for integers. Each n is a varint: the length in bytes of what follows.
    """

    def __init__(self, categories: Categories):
        self.categories = categories
        labels = range(UNLABELLED, categories.num_categories)
        level1 = [UNLABELLED, *categories.level1.tolist()]
        level2 = [UNLABELLED, *categories.level2.tolist()]
        # Indexed by label + 1: most of a record's small features depend only on the category.
        self._category = [_int64_entry(b"category", [label]) for label in labels]
        self._levels = [
            _int64_entry(b"level1", [one]) + _int64_entry(b"level2", [two])
            for one, two in zip(level1, level2)
        ]

    def serialize(self, product: Product) -> bytes:
        """The record's bytes."""
        return b"".join(self.pieces(product))

    def pieces(self, product: Product) -> list[bytes]:
        """The record's bytes in pieces, which include the pictures themselves, not copies."""
        label = product.category - UNLABELLED
        pieces = [
            self._category[label] + _int64_entry(b"image_hashes", map(_HASH, product.images)),
            *_images_entry(product.images),
            self._levels[label] + _int64_entry(b"product_id", (product.product_id,)),
        ]
        pieces[0] = b"\x0a" + varint(sum(map(len, pieces))) + pieces[0]
        return pieces


def encoder_of(categories_csv: str) -> RecordEncoder:
    """The encoder with the categories of a file, created once per process."""
    return _encoder(categories_csv, os.stat(categories_csv).st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _encoder(categories_csv: str, _modified: int) -> RecordEncoder:
    return RecordEncoder(Categories.from_csv(categories_csv))


def varint(value: int) -> bytes:
    """A protobuf varint: 7 bits per byte, lowest first, the top bit set in all but the last byte.

    A negative number is encoded as its 64-bit two's complement (10 bytes).
    """
    if 0 <= value < 1 << 14:
        return _LAST[value]
    if 0 < value < 1 << 28:
        return _NEXT[value & 0x3FFF] + _LAST[value >> 14]
    value &= 0xFFFFFFFFFFFFFFFF
    if value >> 56:  # true of nearly all hashes; the loop below, unrolled
        return (
            _NEXT[value & 0x3FFF]
            + _NEXT[value >> 14 & 0x3FFF]
            + _NEXT[value >> 28 & 0x3FFF]
            + _NEXT[value >> 42 & 0x3FFF]
            + _LAST[value >> 56]
        )
    encoded = b""
    while value >= 1 << 14:
        encoded += _NEXT[value & 0x3FFF]
        value >>= 14
    return encoded + _LAST[value]


# 14 bits at a time: two continuing bytes, or one or two final ones. This is a record's inner loop.
_NEXT = [bytes((low | 0x80, high | 0x80)) for high in range(128) for low in range(128)]
_LAST = [bytes((low,)) for low in range(128)]
_LAST += [bytes((low | 0x80, high)) for high in range(1, 128) for low in range(128)]


def _int64_entry(name: bytes, values: Iterable[int]) -> bytes:
    """A map entry with a name and integers."""
    packed = b"".join(map(varint, values))
    return _int64_head(name, len(packed)) + packed


@functools.cache
def _int64_head(name: bytes, size: int) -> bytes:
    """The bytes of an entry before its `size` bytes of integers: all records share a few heads."""
    int64_list = b"\x0a" + varint(size) if size else b""
    feature = b"\x1a" + varint(len(int64_list) + size) + int64_list
    head = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(len(feature) + size) + feature
    return b"\x0a" + varint(len(head) + size) + head


@functools.lru_cache(maxsize=1 << 16)
def _image_head(size: int) -> bytes:
    return b"\x0a" + varint(size)


def _images_entry(images: list[bytes]) -> list[bytes]:
    """A map entry with "images" and the pictures, in pieces so that they are copied only once."""
    pieces, size = [b""], 0
    for image in images:
        head = _image_head(len(image))
        pieces += (head, image)
        size += len(head) + len(image)
    feature = b"\x0a" + varint(size)
    head = b"\x0a\x06images\x12" + varint(len(feature) + size) + feature
    pieces[0] = b"\x0a" + varint(len(head) + size) + head
    return pieces
