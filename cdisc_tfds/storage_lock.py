"""Allows one writer at a time on a storage that has no locks, through an object that changes.

The holder writes its object again every few seconds. A process that finds such an object watches
it: if it changes, its holder lives; if it stays the same, its holder has ended. The clocks of
machines are never compared. If a holder was cut off from the storage and another took over, both
may believe that they hold it until the first has looked again, so what they write must bear that:
a run's checkpoints, for example, are committed only after `require_own_state`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class LockTimes:
    """In seconds.

    Attributes:
      beat: between two writes of the holder.
      watch: how long an object must stay the same before it counts as left behind; several beats,
        and longer than TensorFlow keeps what it knows of an object (5 s).
      settle: how long a new holder waits before it looks whether another came at the same time.
    """

    beat: float = 10.0
    watch: float = 35.0
    settle: float = 6.0


TIMES = LockTimes()


@contextlib.contextmanager
def locked_object(
    path: pathlib.Path, refusal: Exception, times: LockTimes | None = None
) -> Iterator[None]:
    """Holds the object `path`, which exists only during the block.

    Args:
      path: the object.
      refusal: the error to raise if another process holds it.
      times: default: `TIMES`.

    Raises:
      OSError: if the storage cannot be read or written.
    """
    times = times or TIMES
    _require_abandoned(path, refusal, times)
    beats = _Beats(path)
    beats.write()
    time.sleep(times.settle)
    if not beats.is_own():
        raise refusal
    stop = threading.Event()
    thread = threading.Thread(
        target=beats.keep_on, args=(stop, times.beat), name="storage-lock", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if beats.is_own():  # if not, another process has taken over
            path.unlink(missing_ok=True)


def _require_abandoned(path: pathlib.Path, refusal: Exception, times: LockTimes) -> None:
    """Returns if nobody holds the object; waits for `times.watch` if it is there."""
    before = _content(path)
    if before is None:
        return
    logging.warning("Watching %s for %.0f s: a writer may hold it.", path, times.watch)
    end = time.monotonic() + times.watch
    while time.monotonic() < end:
        time.sleep(min(times.beat, times.watch) / 2)
        now = _content(path)
        if now is None:
            return
        if now != before:
            raise refusal


class _Beats:
    """The object of one holder."""

    def __init__(self, path: pathlib.Path):
        self._path, self._token, self._number = path, secrets.token_hex(8), 0

    def write(self) -> None:
        """Writes who holds it, and a number that no earlier content had."""
        self._number += 1
        holder = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "token": self._token,
            "beat": self._number,
        }
        self._path.write_text(json.dumps(holder) + "\n", encoding="utf-8")

    def is_own(self) -> bool:
        """Whether the object is still the one that this process wrote."""
        content = _content(self._path)
        return content is not None and self._token.encode() in content

    def keep_on(self, stop: threading.Event, seconds: float) -> None:
        """Writes again and again until `stop`, or until another process has taken over."""
        while not stop.wait(seconds):
            try:
                if not self.is_own():
                    logging.warning("%s was taken over by another process.", self._path)
                    return
                self.write()
            except OSError as error:  # the next beat may get through
                logging.warning("%s could not be renewed: %s", self._path, error)


def _content(path: pathlib.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
