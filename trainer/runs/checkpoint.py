"""Exact checkpoints: all that a training step depends on, written whole, verified when read.

`state.json` names the newest checkpoint and the one before it. A checkpoint counts from the moment
that `os.replace` puts the new `state.json` in place; files that it does not name are leftovers of a
killed process and are deleted at the next commit. An entry holds where training stood (`stage`,
`epoch`, `step`), the history so far, how far each event file was written, and the weights files of
the best and the last epoch.

A training state file is the `.npy` images of all variables one after another: the network's
(weights, BatchNorm statistics, the counters of the dropout seeds), the optimizer's and the running
metrics'.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from trainer.runs.folder import RunFolder, write_json

KEEP = 2  # entries in state.json: a damaged newest one must leave one to go back to


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another network."""


class CheckpointWriteError(OSError):
    """A checkpoint could not be written. The one before it still counts."""


class _HashingWriter:
    """A file that also digests what is written to it."""

    def __init__(self, file):
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data) -> int:
        self.digest.update(data)
        return self._file.write(data)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verified_path(folder: pathlib.Path, file: dict[str, str]) -> pathlib.Path:
    """Path of a file named in state.json; raises CheckpointError unless its bytes are intact."""
    path = folder / file["file"]
    if not path.exists():
        raise CheckpointError(f"Every checkpoint file that state.json names must exist: no {path}.")
    if sha256_of(path) != file["sha256"]:
        raise CheckpointError(
            f"The bytes of {path} are not those that were written (SHA-256 differs from "
            "state.json's): the file is damaged."
        )
    return path


def training_variables(model, fitted=None) -> list:
    """All variables that a training step reads or evaluation needs, each once, in a fixed order.

    Args:
      model: the whole network.
      fitted: the compiled model that is trained, if that is a part of it.
    """
    fitted = fitted or model
    optimizer = fitted.optimizer
    variables = list(model.variables) + list(optimizer.variables)
    if inner := getattr(optimizer, "inner_optimizer", None):  # LossScaleOptimizer
        variables += list(inner.variables)
    variables += list(fitted.metrics_variables)
    return list({id(variable): variable for variable in variables}.values())


def write_arrays(path: pathlib.Path, arrays: Sequence[np.ndarray]) -> dict[str, str]:
    """Writes arrays one after another; returns the entry {file, sha256} for state.json."""
    with _removed_on_error(path), open(path, "wb") as file:
        writer = _HashingWriter(file)
        for array in arrays:
            np.save(writer, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {"file": path.name, "sha256": writer.digest.hexdigest()}


def restore_variables(path: pathlib.Path, variables: Sequence) -> None:
    """Assigns what `write_arrays` wrote; raises CheckpointError if the shapes are others."""
    with open(path, "rb") as file:
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


def save_weights(model, path: pathlib.Path) -> dict[str, str]:
    """Writes a network's weights as Keras `.weights.h5`, whole; returns {file, sha256}."""
    partial = path.with_name(f"partial-{path.name}")
    with _removed_on_error(partial):
        # Keras adds the optimizer's variables of a compiled model.
        compiled = getattr(model, "optimizer", None) is not None
        _require_room(partial, training_variables(model) if compiled else model.variables)
        model.save_weights(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        entry = {"file": path.name, "sha256": sha256_of(partial)}
        os.replace(partial, path)
    return entry


def _require_room(path: pathlib.Path, variables: Sequence) -> None:
    """Raises OSError unless an HDF5 file of `variables` fits at `path`, where the system can tell.

    HDF5 does not survive a disk that is full when it closes a file: the process crashes.
    """
    # HDF5's own share was 2 to 4 KB a variable.
    needed = (64 << 10) + sum(variable.numpy().nbytes + (4 << 10) for variable in variables)
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, needed)


@contextlib.contextmanager
def _removed_on_error(path: pathlib.Path) -> Iterator[None]:
    """Half a file on a full disk would stay in the way of the next attempt."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


class CheckpointStore:
    """The checkpoints of one run's folder."""

    def __init__(self, run: RunFolder):
        self._run = run
        self._folder = run.checkpoints
        self._folder.mkdir(parents=True, exist_ok=True)
        self._entries: list[dict[str, Any]] = (
            run.state["entries"] if run.state_path.exists() else []
        )

    def newest_intact(self) -> dict[str, Any] | None:
        """The newest entry all of whose files are intact; None if training never committed one.

        Raises CheckpointError if there are entries and none is intact.
        """
        damage = []
        for entry in self._entries:
            try:
                for file in self._files(entry):
                    verified_path(self._folder, file)
            except CheckpointError as error:
                damage.append(str(error))
                logging.warning("%s Going back to the checkpoint before it.", error)
                continue
            self._entries = self._entries[self._entries.index(entry) :]
            return copy.deepcopy(entry)  # what training makes of it must not change this one
        if damage:
            raise CheckpointError(
                f"A run continues from an intact checkpoint. {self._run.path} has none: "
                + " ".join(damage)
                + " Restore the folder from a copy, or start anew with another --run_dir."
            )
        return None

    @contextlib.contextmanager
    def clear_write_errors(self) -> Iterator[None]:
        """Says what a full disk means for the run, and what to do."""
        try:
            yield
        except OSError as error:
            self._delete_leftovers()  # a full disk has no room for files that do not count
            # h5py's text is a page of addresses; the number says it as well.
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = os.strerror(error.errno) if full else str(error)
            kept = "keeps the one before it" if self._entries else "has none before it"
            raise CheckpointWriteError(
                error.errno,
                f"A checkpoint must be written whole. Received: {reason}. {self._run.path} {kept}; "
                "nothing half-written counts. Make room (or lift the limit on file sizes) and "
                "start the same command again to continue.",
            ) from error

    def weights_path(self, epoch: int) -> pathlib.Path:
        return self._folder / f"epoch-{epoch:04d}.weights.h5"

    def commit(self, entry: dict[str, Any], variables: Sequence | None = None) -> dict[str, Any]:
        """Makes `entry` the newest checkpoint, with the values of `variables` if they are given.

        Without them it takes the place of the newest, whose training state it shares: the one
        before that stays to go back to.
        """
        before = self._entries if variables is not None else self._entries[1:]
        if variables is not None:
            name = f"state-{entry['stage']}-{entry['epoch']:04d}-{entry['step']:08d}.npy"
            arrays = [variable.numpy() for variable in variables]
            entry["training_state"] = write_arrays(self._unused(name), arrays)
        entries = [entry, *before][:KEEP]
        write_json(
            self._run.state_path,
            {
                "finished": entry["finished"],
                "best": entry["best"],
                "last": entry["last"],
                "entries": entries,
            },
        )
        self._entries = entries
        self._delete_leftovers()
        return entry

    def _unused(self, name: str) -> pathlib.Path:
        # A resumed run may reach a step that a kept entry already names: never write over a file
        # that state.json counts on.
        taken = {file["file"] for entry in self._entries for file in self._files(entry)}
        path, attempt = self._folder / name, 0
        while path.name in taken:
            attempt += 1
            path = self._folder / f"{attempt}-{name}"
        return path

    @staticmethod
    def _files(entry: dict[str, Any]) -> list[dict[str, str]]:
        return [entry[key] for key in ("training_state", "best", "last") if entry.get(key)]

    def _delete_leftovers(self) -> None:
        named = {file["file"] for entry in self._entries for file in self._files(entry)}
        for path in self._folder.iterdir():
            if path.name not in named:
                path.unlink()
