"""Reads single pictures of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cdisc_tfds.built_dataset import COPY_OR_BUILD, DatasetError
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.explore.shard_scan import DamagedShardError, clear_shard_errors
from cdisc_tfds.stored_record import product_in
from cdisc_tfds.tfrecord import TFRecordError, read_record


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
