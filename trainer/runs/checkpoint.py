"""Checkpoint files: written whole, with the SHA-256 of their bytes, and verified when read.

A training state file holds the `.npy` images of all variables that a training step reads, one after
another: those of the network (weights, BatchNorm statistics, counters of the dropout seeds) and of
the optimizer, the averaged weights and the running metrics.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

import keras
import numpy as np

from cdisc_tfds.storage import copy_file, is_remote, path_of
from cdisc_tfds.whole_files import sync_folder, whole_file
from trainer.runs.state import CheckpointFile


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class CheckpointWriteError(OSError):
    """A checkpoint could not be written. The previous checkpoint is still valid."""


class _HashingWriter:
    """A file that also hashes the bytes written to it."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path_of(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verified_path(
    folder: pathlib.Path, file: CheckpointFile, listed_in: str = "state.json"
) -> pathlib.Path:
    """Verifies the digest of a file and returns its path.

    Args:
      folder: folder of the file.
      file: its name and SHA-256.
      listed_in: the file that names it, for error messages.

    Raises:
      CheckpointError: if it is missing, or its bytes have changed.
    """
    path = folder / file.file
    if not path.is_file():
        raise CheckpointError(f"Every file that {listed_in} names must exist. Missing: {path}.")
    if sha256_of(path) != file.sha256:
        raise CheckpointError(
            f"The bytes of {path} are not those that were written (their SHA-256 differs from the "
            f"one in {listed_in}): the file is damaged."
        )
    return path


def write_arrays(path: pathlib.Path, arrays: Sequence[np.ndarray]) -> CheckpointFile:
    """Writes arrays one after another and syncs the file; returns its name and digest."""
    if is_remote(path):
        with whole_file(path) as file:
            return CheckpointFile(path.name, _written(file, arrays))
    with _removed_on_error(path), open(path, "wb") as file:
        digest = _written(file, arrays)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return CheckpointFile(path.name, digest)


def _written(file: IO[bytes], arrays: Sequence[np.ndarray]) -> str:
    """Writes arrays; returns the hex SHA-256 of their bytes."""
    writer = _HashingWriter(file)
    for array in arrays:
        np.save(writer, array, allow_pickle=False)
    return writer.digest.hexdigest()


def copies_of(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """The values of variables, in memory of their own: later training steps do not change them."""
    arrays = [np.asarray(variable.numpy()) for variable in variables]
    # On a processor, an array that does not own its memory may be a view of the variable's.
    return [array if array.flags.owndata else array.copy() for array in arrays]


def restore_variables(path: pathlib.Path, variables: Sequence[keras.Variable]) -> None:
    """Assigns what `write_arrays` wrote; raises CheckpointError if number or shapes differ."""
    with path.open("rb") as file:
        for variable in variables:
            try:
                value = np.load(file, allow_pickle=False)
            except (EOFError, ValueError) as error:
                raise CheckpointError(f"{path} holds fewer variables than the network.") from error
            if value.shape != tuple(variable.shape):
                raise CheckpointError(
                    f"{path} must hold the variables of this network. For {variable.path}, of "
                    f"shape {tuple(variable.shape)}, it holds shape {value.shape}."
                )
            variable.assign(value)
        if file.read(1):
            raise CheckpointError(f"{path} holds more variables than the network.")


def save_weights(model: keras.Model, path: pathlib.Path) -> CheckpointFile:
    """Writes a network's weights as Keras `.weights.h5`; returns the file's name and digest.

    The file appears only once it is complete. The model must not be compiled, because Keras would
    add the optimizer's variables.
    """
    if is_remote(path):
        return _save_weights_to_storage(model, path)
    partial = path.with_name(f"partial-{path.name}")
    with _removed_on_error(partial):
        _require_room(partial, model.variables)
        model.save_weights(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        written = CheckpointFile(path.name, sha256_of(partial))
        os.replace(partial, path)
    sync_folder(path.parent)
    return written


def _save_weights_to_storage(model: keras.Model, path: pathlib.Path) -> CheckpointFile:
    """`save_weights` by way of a file of this machine: HDF5 writes to no storage."""
    with tempfile.TemporaryDirectory(prefix="cdiscount-") as folder:
        file = pathlib.Path(folder) / path.name
        _require_room(file, model.variables)
        model.save_weights(file)
        copy_file(file, path)
        return CheckpointFile(path.name, sha256_of(file))


def _require_room(path: pathlib.Path, variables: Sequence[keras.Variable]) -> None:
    """Raises OSError unless an HDF5 file of `variables` fits at `path`, if the system can tell.

    HDF5 crashes the process when it closes a file on a full disk.
    """
    # HDF5's own overhead was 2 to 4 KB per variable.
    needed = (64 << 10) + sum(variable.numpy().nbytes + (4 << 10) for variable in variables)
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, needed)


@contextlib.contextmanager
def _removed_on_error(path: pathlib.Path) -> Iterator[None]:
    """Deletes the file on an error: half a file on a full disk would block the next attempt."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
