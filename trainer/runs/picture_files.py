"""Values of pictures on disk: thousands of pictures per file, and an index of the files.

A file holds `.npy` images, one after another, each with a row per picture. `index.json` lists
everything that the values depend on (the key), and the finished files. A folder is named after its
key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from absl import logging

from cdisc_tfds.storage import is_remote, size_of
from cdisc_tfds.whole_files import write_json
from trainer.runs.checkpoint import CheckpointError, verified_path, write_arrays
from trainer.runs.state import CheckpointFile

_FORMAT = 2
INDEX = "index.json"


@dataclasses.dataclass(frozen=True)
class PictureFile(CheckpointFile):
    """A finished file of `pictures` pictures."""

    pictures: int


@dataclasses.dataclass(frozen=True)
class PictureIndex:
    """The contents of `index.json`.

    Attributes:
      key: everything that the values depend on.
      finished: whether the files hold all pictures.
      files: the finished files, in record order.
    """

    key: dict[str, Any]
    finished: bool = False
    files: tuple[PictureFile, ...] = ()

    def write(self, folder: pathlib.Path, name: str = INDEX) -> None:
        """Writes the index atomically."""
        write_json(folder / name, {"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: pathlib.Path, key: dict[str, Any], name: str = INDEX) -> PictureIndex:
        """Reads the index in `folder`; an empty one if there is none for `key` or it is damaged."""
        path = folder / name
        if not path.exists():
            return cls(key)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            files = tuple(PictureFile(**file) for file in content["files"])
            found = cls(content["key"], bool(content["finished"]), files)
            readable = content["format"] == _FORMAT
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logging.warning("%s is damaged (%s): its files are computed again.", path, error)
            return cls(key)
        return found if readable and found.key == key else cls(key)

    def intact(self, folder: pathlib.Path) -> PictureIndex:
        """The index up to the first file that is missing or whose bytes have changed."""
        if not (damaged := self.damaged(folder)):
            return self
        return dataclasses.replace(self, finished=False, files=self.files[: damaged[0]])

    def damaged(self, folder: pathlib.Path) -> list[int]:
        """Numbers of the files that are missing or whose bytes have changed."""
        numbers = []
        for number, file in enumerate(self.files):
            try:
                verified_path(folder, file, INDEX)
            except CheckpointError as error:
                logging.warning("%s It is computed again.", error)
                numbers.append(number)
        return numbers

    def size(self, folder: pathlib.Path) -> int:
        """Bytes of the finished files."""
        return sum(size_of(folder / file.file) for file in self.files)


def folder_of(parent: pathlib.Path, key: dict[str, Any]) -> pathlib.Path:
    """The folder of a key."""
    return parent / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 of arrays with their shapes and dtypes, for a key."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def write_pictures(folder: pathlib.Path, number: int, arrays: Sequence[np.ndarray]) -> PictureFile:
    """Writes a file atomically.

    Args:
      folder: folder of the file.
      number: number of the file.
      arrays: [n, ...] each, with a row per picture.
    """
    name = f"{number:05d}.npy"
    if is_remote(folder):  # an object appears whole
        written = write_arrays(folder / name, arrays)
        return PictureFile(name, written.sha256, len(arrays[0]))
    partial = folder / f"partial-{secrets.token_hex(4)}-{name}"
    written = write_arrays(partial, arrays)
    os.replace(partial, folder / name)
    return PictureFile(name, written.sha256, len(arrays[0]))


def read_arrays(path: pathlib.Path, number: int) -> list[np.ndarray]:
    """The first `number` arrays of a file."""
    with path.open("rb") as file:
        return [np.load(file, allow_pickle=False) for _ in range(number)]
