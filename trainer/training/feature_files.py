"""Cached features on disk: thousands of pictures per file, and an index of the files.

A file holds two `.npy` images: int64 [n], the position in the split of each picture's product, and
[n, f], the features, stored bit for bit as unsigned integers, which every NumPy can read.
`index.json` lists everything that the features depend on, and the finished files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import secrets
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from cdisc_tfds.whole_files import write_json
from trainer.runs.checkpoint import CheckpointError, verified_path, write_arrays
from trainer.runs.state import CheckpointFile

_FORMAT = 2
_INDEX = "index.json"


@dataclasses.dataclass(frozen=True)
class FeatureFile(CheckpointFile):
    """A finished file of `pictures` pictures."""

    pictures: int


@dataclasses.dataclass(frozen=True)
class FeatureIndex:
    """The contents of `index.json`.

    Attributes:
      key: everything that the features depend on.
      finished: whether the files hold all pictures of the split.
      files: the finished files, in record order.
    """

    key: dict[str, Any]
    finished: bool = False
    files: tuple[FeatureFile, ...] = ()

    def write(self, folder: pathlib.Path) -> None:
        """Writes the index atomically."""
        write_json(folder / _INDEX, {"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: pathlib.Path, key: dict[str, Any]) -> FeatureIndex:
        """Reads the index in `folder`; an empty one if there is none for `key` or it is damaged."""
        path = folder / _INDEX
        if not path.exists():
            return cls(key)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            files = tuple(FeatureFile(**file) for file in content["files"])
            found = cls(content["key"], bool(content["finished"]), files)
            readable = content["format"] == _FORMAT
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logging.warning("%s is damaged (%s): the features are computed again.", path, error)
            return cls(key)
        return found if readable and found.key == key else cls(key)

    def damaged(self, folder: pathlib.Path) -> list[int]:
        """Numbers of the files that are missing or whose bytes have changed."""
        numbers = []
        for number, file in enumerate(self.files):
            try:
                verified_path(folder, file, _INDEX)
            except CheckpointError as error:
                logging.warning("%s Its features are computed again.", error)
                numbers.append(number)
        return numbers


def write_features(
    folder: pathlib.Path, number: int, ordinals: np.ndarray, features: np.ndarray
) -> FeatureFile:
    """Writes a file atomically.

    Args:
      folder: folder of the file.
      number: number of the file.
      ordinals: int64 [n].
      features: [n, f], of any dtype with 2, 4 or 8 bytes.
    """
    name = f"{number:05d}.npy"
    partial = folder / f"partial-{secrets.token_hex(4)}-{name}"
    integers = features.view(np.dtype(f"u{features.dtype.itemsize}"))
    written = write_arrays(partial, [ordinals, integers])
    os.replace(partial, folder / name)
    return FeatureFile(name, written.sha256, len(ordinals))


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
        files: tuple[FeatureFile, ...],
        white: np.ndarray,
        dtype: tf.DType,
    ):
        self.white, self.dtype = white, dtype
        self.lengths = np.array([file.pictures for file in files], np.int64)
        self._paths = [folder / file.file for file in files]
        self.ordinals = np.concatenate([np.zeros(0, np.int64), *map(_first_array, self._paths)])

    def rows(self, number: int) -> np.ndarray:
        """The features in a file: [n, f]."""
        with open(self._paths[number], "rb") as file:
            np.load(file, allow_pickle=False)  # the ordinals
            return np.load(file, allow_pickle=False).view(self.dtype.as_numpy_dtype)


def _first_array(path: pathlib.Path) -> np.ndarray:
    with open(path, "rb") as file:
        return np.load(file, allow_pickle=False)
