"""Reads one shard and notes what the page needs of it; runs in the processes of a pool."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np

from cdisc_tfds.jpeg import FRAMES, JpegError, frame_header, walk
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import image_hash
from cdisc_tfds.stored_record import StoredRecordError, product_in
from cdisc_tfds.tfrecord import TFRecordError, read_records

_BUFFER_BYTES = 1 << 20


class DamagedShardError(ValueError):
    """A shard cannot be read, or holds other products than the index."""


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard to read.

    Attributes:
      path: the file.
      index: the products that it must hold.
      measure_every: one of so many pictures is measured.
      measure_from: the first one, from 0 to `measure_every` - 1.
    """

    path: str
    index: ProductIndex
    measure_every: int = 1
    measure_from: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class ShardFacts:
    """What a shard holds.

    Attributes:
      offsets: int64 [products], where each record starts.
      hashes: int64 [pictures], `records.image_hash` of each, in record order.
      picture_bytes: the sizes of all pictures' files together.
      measured: int32 [measured pictures, 3]: bytes, width and height in pixels.
    """

    offsets: np.ndarray
    hashes: np.ndarray
    picture_bytes: int
    measured: np.ndarray


def scan_shard(task: ShardTask) -> ShardFacts:
    """Reads every record of a shard, with checksums.

    Memory: 8 bytes for each product and picture, beside one record.

    Raises:
      DamagedShardError: the shard is gone or damaged, or holds other products.
    """
    with clear_shard_errors(task.path):
        return _scan(task)


@contextlib.contextmanager
def clear_shard_errors(path: str) -> Iterator[None]:
    """Turns the errors of reading a shard into a DamagedShardError."""
    try:
        yield
        return
    except FileNotFoundError:
        fault = "no such file: the data set was deleted or is built again"
    except (TFRecordError, StoredRecordError, OSError) as error:
        fault = str(error)
    raise DamagedShardError(
        f"The shards of a data set must be intact. Received, from {path}: {fault}."
    )


def _scan(task: ShardTask) -> ShardFacts:
    index = task.index
    offsets = np.zeros(len(index), np.int64)
    hashes = np.zeros(index.total_pictures, np.int64)
    measured: list[tuple[int, int, int]] = []
    rows = zip(index.product_id.tolist(), index.num_pictures.tolist(), index.category.tolist())
    place, picture_bytes, next_measured = 0, 0, task.measure_from
    with open(task.path, "rb", buffering=_BUFFER_BYTES) as file:
        records = read_records(file)
        for row, (offset, record) in enumerate(records):
            product = product_in(record)
            found = (product.product_id, len(product.images), product.category)
            if found != next(rows, None):
                raise StoredRecordError(
                    f"record {row} is of another product than the index says: the shard or the "
                    "index comes from another build"
                )
            offsets[row] = offset
            for image in product.images:
                hashes[place] = image_hash(image)
                picture_bytes += len(image)
                if place == next_measured:
                    measured.append((len(image), *size_of(image)))
                    next_measured += task.measure_every
                place += 1
    if next(rows, None) is not None:
        raise StoredRecordError("fewer records than the index says")
    return ShardFacts(offsets, hashes, picture_bytes, np.array(measured, np.int32).reshape(-1, 3))


def size_of(image: bytes) -> tuple[int, int]:
    """(width, height) in pixels as a JPEG's header says; (0, 0) if the header is damaged."""
    try:
        for marker, position, _ in walk(image):
            if marker in FRAMES:
                header = frame_header(image, position)
                return header.width, header.height
    except JpegError:
        pass  # the build keeps such pictures out; the page counts them as damaged
    return 0, 0
