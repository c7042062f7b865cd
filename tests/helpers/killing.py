"""Ends training at a chosen step, like a kill, and follows the thread that writes checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from trainer.runs import checkpoint_store, checkpoint_writer
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.training.hooks import Hook, Place

# Where a checkpoint may be when the process dies, in order; COMMITTED and later it counts.
COMMITTED = "state.json replaced"
POINTS = ("copied", "file half written", "file written", "renamed", COMMITTED)
DONE = "history written"


class Killed(BaseException):
    """Stands for the end of the process: the trainer does not catch it."""


class KillAt(Hook):
    """Ends training at the `call`-th call of `before_step`, counted from 1."""

    def __init__(self, call: int):
        self._left = call

    def before_step(self, place: Place) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


class Do(Hook):
    """Calls a function before each step."""

    def __init__(self, function: Callable[[Place], None]):
        self._function = function

    def before_step(self, place: Place) -> None:
        self._function(place)


def follow_writer(
    call: Callable[[str], None], patch: Callable[[Any, str, Any], None] = setattr
) -> None:
    """Has each checkpoint call `call`, in the thread that writes it, at each of POINTS and DONE.

    Args:
      call: called with the point.
      patch: replaces an attribute, such as `monkeypatch.setattr`.
    """
    commit, named_now, replace = (
        getattr(CheckpointStore, name) for name in ("commit", "_named_now", "_replace")
    )
    write_arrays, write_history = checkpoint_store.write_arrays, checkpoint_writer.write_history

    def copied(self, checkpoint, arrays=None):
        call("copied")
        return commit(self, checkpoint, arrays)

    def half_and_whole(path, arrays: Sequence[np.ndarray]):
        def noted() -> Iterator[np.ndarray]:
            for number, array in enumerate(arrays):
                if number == len(arrays) // 2:
                    call("file half written")
                yield array

        written = write_arrays(path, noted())
        call("file written")
        return written

    def renamed(self, written, name):
        file = named_now(self, written, name)
        if name.startswith("state-"):  # the weights of an epoch have their names from training
            call("renamed")
        return file

    def replaced(self, path, content):
        replace(self, path, content)
        if path.name == "state.json":
            call(COMMITTED)

    def done(*args, **kwargs):
        write_history(*args, **kwargs)
        call(DONE)

    patch(CheckpointStore, "commit", copied)
    patch(CheckpointStore, "_named_now", renamed)
    patch(CheckpointStore, "_replace", replaced)
    patch(checkpoint_store, "write_arrays", half_and_whole)
    patch(checkpoint_writer, "write_history", done)
