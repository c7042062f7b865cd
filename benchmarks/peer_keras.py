"""Keras's `image_dataset_from_directory` on picture files."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import keras
import tensorflow as tf


def batches(
    folder: str | pathlib.Path, batch_size: int, image_size: int
) -> Iterator[tuple[tf.Tensor, ...]]:
    """Iterates over `dataset`, with the same arguments."""
    return iter(dataset(folder, batch_size, image_size))


def dataset(folder: str | pathlib.Path, batch_size: int, image_size: int) -> tf.data.Dataset:
    """Endless (pictures float32 [b, size, size, 3], classes int32 [b]), shuffled.

    Args:
      folder: contains one folder of pictures per class.
      batch_size: b.
      image_size: size.
    """
    return keras.utils.image_dataset_from_directory(
        folder, batch_size=batch_size, image_size=(image_size, image_size), verbose=False
    ).repeat()
