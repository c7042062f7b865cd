"""The Kagglers' BSON pipeline: a table of offsets, then seek, decode, resize, collect.

This is our own version of the public kernel "Keras generator for reading directly from BSON". One
pass finds the offset of each product; a table has one row per picture; a generator shuffles the
rows and makes batches of float32 pictures with Pillow, in threads that share one file.
"""

from __future__ import annotations

import concurrent.futures
import io
import pathlib
import struct
import threading
from collections.abc import Iterator

import bson
import numpy as np
import pandas as pd
from PIL import Image


def offset_table(path: str | pathlib.Path) -> pd.DataFrame:
    """One row per picture of a .bson file: offset and length of its product, place, category."""
    rows, offset = [], 0
    with open(path, "rb") as file:
        while header := file.read(4):
            (length,) = struct.unpack("<i", header)
            document = bson.decode(header + file.read(length - 4))
            for place in range(len(document["imgs"])):
                rows.append((offset, length, place, document["category_id"]))
            offset += length
    return pd.DataFrame(rows, columns=["offset", "length", "place", "category"])


class BsonGenerator:
    """Batches of a .bson file in random order.

    Args:
      path: the file.
      table: result of `offset_table`.
      batch_size: pictures per batch.
      image_size: width and height of the pictures.
      shuffle: whether to draw a new order each epoch.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        table: pd.DataFrame,
        batch_size: int,
        image_size: int,
        shuffle: bool = True,
    ):
        self._file = open(path, "rb")  # noqa: SIM115 - `close` closes it
        self._lock = threading.Lock()
        self._batch_size, self._image_size = batch_size, image_size
        self._shuffle = shuffle
        self._rows = table[["offset", "length", "place"]].to_numpy()
        self._labels = table["category"].astype("category").cat.codes.to_numpy()

    def close(self) -> None:
        self._file.close()

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(pictures float32 [b, size, size, 3] from 0 to 255, classes int8 or more [b])."""
        size = self._image_size
        pictures = np.zeros([len(rows), size, size, 3], np.float32)
        for i, row in enumerate(rows):
            offset, length, place = self._rows[row]
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(length)
            image = Image.open(io.BytesIO(bson.decode(data)["imgs"][place]["picture"]))
            if image.mode != "RGB":
                image = image.convert("RGB")
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.NEAREST)
            pictures[i] = np.asarray(image, np.float32)
        return pictures, self._labels[rows]

    def batches(self, threads: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Endless batches that `threads` threads prefetch, as Keras does with generators."""
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            pending: list[concurrent.futures.Future] = []
            for rows in self._orders():
                pending.append(pool.submit(self.batch, rows))
                if len(pending) > 2 * threads:
                    yield pending.pop(0).result()

    def _orders(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        while True:
            order = np.arange(len(self._rows))
            if self._shuffle:
                rng.shuffle(order)
            for start in range(0, len(order), self._batch_size):
                yield order[start : start + self._batch_size]
