"""Cached features on disk, in the files of `trainer.runs.picture_files`.

A file holds two arrays: int64 [n], the position in the split of each picture's product, and [n, f],
the features, stored bit for bit as unsigned integers, which every NumPy can read.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from trainer.runs.picture_files import PictureFile, read_arrays, write_pictures


def write_features(
    folder: pathlib.Path, number: int, ordinals: np.ndarray, features: np.ndarray
) -> PictureFile:
    """Writes a file atomically.

    Args:
      folder: folder of the file.
      number: number of the file.
      ordinals: int64 [n].
      features: [n, f], of any dtype with 2, 4 or 8 bytes.
    """
    return write_pictures(folder, number, stored(ordinals, features))


def stored(ordinals: np.ndarray, features: np.ndarray) -> list[np.ndarray]:
    """The arrays of a file; arguments as in `write_features`."""
    return [ordinals, features.view(np.dtype(f"u{features.dtype.itemsize}"))]


class Features:
    """The features of the readable pictures of some products, in the records' order.

    Attributes:
      ordinals: int64 [n], the position in the split of each picture's product.
      lengths: int64 [files], number of pictures in each file.
      white: [f], the features of a white picture, which replaces one that cannot be decoded.
      dtype: TensorFlow dtype of the features.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        files: tuple[PictureFile, ...],
        white: np.ndarray,
        dtype: tf.DType,
    ):
        self.white, self.dtype = white, dtype
        self.lengths = np.array([file.pictures for file in files], np.int64)
        self._paths = [folder / file.file for file in files]
        self.ordinals = np.concatenate(
            [np.zeros(0, np.int64), *(read_arrays(path, 1)[0] for path in self._paths)]
        )

    def rows(self, number: int) -> np.ndarray:
        """The features in a file: [n, f]."""
        _, features = read_arrays(self._paths[number], 2)
        return features.view(self.dtype.as_numpy_dtype)
