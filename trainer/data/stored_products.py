"""Reads single products of a split from its records, without TensorFlow."""

from __future__ import annotations

import array

import numpy as np

from cdisc_tfds.records import Product
from cdisc_tfds.storage import path_of
from cdisc_tfds.stored_record import StoredRecordError, product_in
from cdisc_tfds.tfrecord import TFRecordError, read_record, skip_record
from trainer.data.dataset import OTHER_RECORDS, Split, damaged_shard


class StoredProducts:
    """The products of a split, one by one; not for several threads at the same time.

    Where a record begins is known only from the lengths of those before it. They are read when a
    product behind them is first wanted, and kept: 8 bytes for each.

    Args:
      split: the products.
    """

    def __init__(self, split: Split):
        self._split = split
        self._ends = np.cumsum([part.take for part in split.files])
        # Where the records of each file begin, as far as they were walked over.
        self._offsets = [array.array("q", [0]) for _ in split.files]

    def product(self, place: int) -> Product:
        """The product at a place in the split.

        Raises:
          DatasetError: if its record is damaged or gone, or is of another product than the index
            says.
        """
        number = int(np.searchsorted(self._ends, place, side="right"))
        part = self._split.files[number]
        record = place - int(self._ends[number]) + part.take + part.skip
        try:
            product = _read(part.path, self._offsets[number], record)
        except (TFRecordError, StoredRecordError, FileNotFoundError) as error:
            raise damaged_shard(self._split, error) from error
        if product.product_id != self._split.index.product_id[place]:
            raise damaged_shard(self._split, ValueError(OTHER_RECORDS))
        return product


def _read(path: str, offsets: array.array[int], number: int) -> Product:
    """The product of a file's record, by its number; lengthens `offsets` up to it."""
    with path_of(path).open("rb") as file:
        file.seek(offsets[min(number, len(offsets) - 1)])
        while len(offsets) <= number:
            skip_record(file)
            offsets.append(file.tell())
        record = read_record(file)
        if record is None:
            raise TFRecordError(f"a truncated record at {offsets[number]}")
        return product_in(record)
