"""Reads single pictures of a data set, and makes them small enough for a page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image

from cdisc_tfds.built_dataset import COPY_OR_BUILD, DatasetError
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.explore.shard_scan import DamagedShardError, clear_shard_errors
from cdisc_tfds.stored_record import product_in
from cdisc_tfds.tfrecord import TFRecordError, read_record

SIDE = 180  # pixels: the size of the competition's pictures
# Pictures of SIDE pixels are smaller, but for a few with much metadata.
_MAX_BYTES = 24_000


class Place(NamedTuple):
    """Where a picture is: ordinal of the split, row of its product, position in the product."""

    split: int
    row: int
    position: int


def pictures_at(splits: Sequence[ScannedSplit], places: Iterable[Place]) -> dict[Place, bytes]:
    """The JPEG files of some pictures.

    Args:
      splits: the splits, scanned.
      places: of products in shards that were read.

    Raises:
      DatasetError: a shard changed since it was scanned.
    """
    found = {}
    try:
        for place in sorted(set(places)):
            split = splits[place.split]
            found[place] = _picture(
                split.shard_of(place.row).path, int(split.offsets[place.row]), place.position
            )
    except DamagedShardError as error:
        raise DatasetError(f"{error} {COPY_OR_BUILD}") from None
    return found


def _picture(path: str, offset: int, position: int) -> bytes:
    with clear_shard_errors(path), open(path, "rb") as file:
        file.seek(offset)
        record = read_record(file)
        images = product_in(record).images if record is not None else []
        if position >= len(images):
            raise TFRecordError("another record than before: it changes while it is read")
        return images[position]


def thumbnail(jpeg: bytes) -> bytes | None:
    """A JPEG of at most SIDE x SIDE pixels: the file itself if it is small; None if undecodable.

    Like training, this ignores the orientation in the metadata.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `draft` reduces it
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
                fits = max(image.size) <= SIDE and len(jpeg) <= _MAX_BYTES
                image.draft("RGB", (SIDE, SIDE))
                image.load()
                if fits:
                    return jpeg
                small = image.convert("RGB")
                small.thumbnail((SIDE, SIDE))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # what Pillow raises for damaged files
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue()
