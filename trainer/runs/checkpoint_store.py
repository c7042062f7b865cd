"""The checkpoints in a run's folder.

`state.json` names the newest checkpoint and the previous one. A checkpoint becomes valid when the
new `state.json` replaces the old one. Checkpoint files that it does not name were left behind by a
killed process, and the next commit deletes them. The previous state stays as `state.previous.json`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pathlib
import re
import secrets
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from absl import logging

from cdisc_tfds.storage import is_remote
from cdisc_tfds.whole_files import sync_folder, whole_file
from trainer.runs.checkpoint import (
    CheckpointError,
    CheckpointWriteError,
    save_weights,
    verified_path,
    write_arrays,
)
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.state import Checkpoint, CheckpointFile, DataIdentity, RunState

KEEP = 2  # entries in state.json: if the newest is damaged, training falls back to the other

# Names of this project's files in `checkpoints/`; other files there are left alone.
_OURS = re.compile(
    r"(partial-|[0-9a-f]+-)*(epoch-\d+\.weights\.h5|state-\d+-\d+-\d+\.npy)"
    r"|state-.*\.partial"
)


class CheckpointStore:
    """Reads and commits checkpoints; only one process and one thread at a time may use a store.

    Args:
      run: the run's folder.
      data: identity of the run's data, written with each state.
      settings_sha256: digest of the settings that define the run, likewise.
    """

    def __init__(
        self, run: RunFolder, data: DataIdentity | None = None, settings_sha256: str | None = None
    ):
        self._run, self._data, self._settings = run, data, settings_sha256
        self._folder = run.checkpoints
        self._folder.mkdir(parents=True, exist_ok=True)
        self._token = secrets.token_hex(4)
        self._committed = _bytes_of(run.state_path)
        self._entries: tuple[Checkpoint, ...] = ()
        self._predecessor: bytes | None = None  # of the next state; never a damaged one
        if run.has_state:
            state = run.state
            self._entries = state.entries
            self._predecessor = state.to_json().encode()

    def newest_intact(self) -> Checkpoint | None:
        """The newest checkpoint whose files are all intact; None if the run has no checkpoint.

        Raises:
          CheckpointError: if there are checkpoints but none is intact.
        """
        damage = []
        for place, entry in enumerate(self._entries):
            try:
                for file in entry.files:
                    verified_path(self._folder, file)
            except CheckpointError as error:
                damage.append(str(error))
                logging.warning("%s Going back to the checkpoint before it.", error)
                continue
            self._entries = self._entries[place:]
            return entry
        if damage:
            raise CheckpointError(
                f"A run continues from an intact checkpoint. {self._run.path} has none: "
                + " ".join(damage)
                + " Restore the folder from a copy, or start anew with another --run_dir."
            )
        return None

    @contextlib.contextmanager
    def clear_write_errors(self) -> Iterator[None]:
        """Turns OSErrors into a CheckpointWriteError that says what to do."""
        try:
            yield
        except CheckpointWriteError:
            raise
        except OSError as error:
            self.require_own_state()  # if not, the other process may have deleted files of this one
            self._delete_leftovers()  # frees space on a full disk
            # h5py's message is a page of addresses; the error number is enough.
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = os.strerror(error.errno) if full and error.errno else str(error)
            kept = "keeps the one before it" if self._entries else "has none before it"
            advice = "Make room (or lift the limit on file sizes)" if full else "Mend that"
            raise CheckpointWriteError(
                error.errno,
                f"A checkpoint must be written whole. Received: {reason}. {self._run.path} {kept}; "
                f"nothing half-written counts. {advice} and start the same command again to "
                "continue.",
            ) from error

    def add_weights(self, model: keras.Model, epoch: int) -> CheckpointFile:
        """Writes a network's weights after an epoch, counted from 0; the next commit may name them.

        Raises:
          RunFolderError: as `require_own_state`.
        """
        self.require_own_state()
        name = f"epoch-{epoch:04d}.weights.h5"
        return self._named_now(save_weights(model, self._own_path(name)), name)

    def commit(
        self, checkpoint: Checkpoint, arrays: Sequence[np.ndarray] | None = None
    ) -> Checkpoint:
        """Makes `checkpoint` the newest, with a new training state of `arrays` if they are given.

        Without them, it replaces the newest checkpoint, whose training state it takes over; the
        previous checkpoint stays.

        Returns:
          The checkpoint with its training state.

        Raises:
          RunFolderError: as `require_own_state`.
        """
        self.require_own_state()
        if arrays is None:
            before = self._entries[1:]
            state = self._entries[0].training_state if self._entries else None
        else:
            before = self._entries
            at = checkpoint.position
            name = f"state-{at.stage}-{at.epoch:04d}-{at.step:08d}.npy"
            state = self._named_now(write_arrays(self._own_path(name), arrays), name)
        checkpoint = dataclasses.replace(checkpoint, training_state=state)
        entries = (checkpoint, *before)[:KEEP]
        text = RunState(entries, self._data, self._settings).to_json().encode()
        if self._predecessor is not None:
            self._replace(self._run.previous_state_path, self._predecessor)
        self._replace(self._run.state_path, text)
        self._entries, self._committed, self._predecessor = entries, text, text
        self._delete_leftovers()
        return checkpoint

    def require_own_state(self) -> None:
        """Raises RunFolderError if another process committed, e.g. while this one was suspended."""
        if _bytes_of(self._run.state_path) != self._committed:
            raise RunFolderError(
                f"One process at a time may train in a run's folder. {self._run.state_path} is not "
                "as this process left it: another one has continued the run. This process wrote "
                "nothing more; start the command again to continue from there."
            )

    def _replace(self, path: pathlib.Path, content: bytes) -> None:
        """Replaces a file, unless another process has committed during the write."""
        with whole_file(path, before_rename=self.require_own_state) as file:
            file.write(content)

    def _own_path(self, name: str) -> pathlib.Path:
        """A path that no other process uses, even if this one was suspended during a write.

        On a storage, which renames nothing, it is the final one.
        """
        if is_remote(self._folder):
            return self._unused(f"{self._token}-{name}")
        return self._folder / f"partial-{self._token}-{name}"

    def _named_now(self, written: CheckpointFile, name: str) -> CheckpointFile:
        """Gives a file at `_own_path(name)` its name, unless another process has committed."""
        if is_remote(self._folder):
            return written
        own, path = self._folder / written.file, self._unused(name)
        try:
            self.require_own_state()
            os.replace(own, path)
        except BaseException:
            own.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return CheckpointFile(path.name, written.sha256)

    def _named(self) -> set[str]:
        """Names of the files in use."""
        return {file.file for entry in self._entries for file in entry.files}

    def _unused(self, name: str) -> pathlib.Path:
        # A resumed run may reach a step that a kept entry already names, but must not overwrite a
        # file that state.json names.
        taken, path, attempt = self._named(), self._folder / name, 0
        while path.name in taken:
            attempt += 1
            path = self._folder / f"{attempt}-{name}"
        return path

    def _delete_leftovers(self) -> None:
        named = self._named()
        for path in self._folder.iterdir():
            if path.name not in named and _OURS.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def _bytes_of(path: pathlib.Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
