"""Writes checkpoints while training goes on.

Training copies its state and hands it over; a thread of its own writes, hashes, syncs and commits
it. What counts as committed is decided by the store alone, so a process that is killed meanwhile
continues from the checkpoint before.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import types
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.folder import RunFolder
from trainer.runs.history import write_history
from trainer.runs.state import Checkpoint


class CheckpointWriter:
    """Commits checkpoints in a thread of its own, at most one at a time.

    As a context manager, it ends with no commit in flight. If the block fails, its error wins; the
    error of a commit that fails as well is logged.

    Args:
      run: the run's folder.
      store: its checkpoints. Nobody else may use the store, except within `alone`.
    """

    def __init__(self, run: RunFolder, store: CheckpointStore):
        self._run, self._store = run, store
        # Starts its thread with the first commit.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint-writer")
        self._in_flight: concurrent.futures.Future[None] | None = None

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        try:
            self.wait()
        except Exception as own:
            if error is None:
                raise
            logging.error(
                "The last checkpoint could not be written either. %s: %s", type(own).__name__, own
            )
        finally:
            self._thread.shutdown()

    @contextlib.contextmanager
    def alone(self) -> Iterator[CheckpointStore]:
        """Within the block, the caller has the store to itself, and its OSErrors become clear.

        Raises:
          The error of the commit in flight; CheckpointWriteError.
        """
        self.wait()
        with self._store.clear_write_errors():
            yield self._store

    def begin(self, checkpoint: Checkpoint, arrays: Sequence[np.ndarray] | None = None) -> None:
        """Begins to commit, once the commit in flight is done.

        Args:
          checkpoint, arrays: as for `CheckpointStore.commit`; the arrays must not change any more.

        Raises:
          The error of the commit in flight; this one then does not begin.
        """
        self.wait()
        self._in_flight = self._thread.submit(self._commit, checkpoint, arrays)

    def check(self) -> None:
        """Raises the error of a commit that has failed since the last call; never waits."""
        if self._in_flight is not None and self._in_flight.done():
            self.wait()

    def wait(self) -> None:
        """Waits until no commit is in flight.

        Raises:
          CheckpointWriteError: if the disk is full; the previous checkpoint stays.
          RunFolderError: if another process has continued the run.
        """
        if self._in_flight is None:
            return
        # If a second Ctrl-C interrupts the wait, the commit stays in flight.
        concurrent.futures.wait([self._in_flight])
        done, self._in_flight = self._in_flight, None
        done.result()

    def _commit(self, checkpoint: Checkpoint, arrays: Sequence[np.ndarray] | None) -> None:
        """In the thread: commits, then copies the history into its files."""
        with self._store.clear_write_errors():
            self._store.commit(checkpoint, arrays)
            write_history(
                self._run, checkpoint.history, before_rename=self._store.require_own_state
            )
