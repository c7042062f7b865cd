"""Work that the workers share out: each does a part of its own, and all end if one does.

Between exchanges, nobody would notice a lost worker. So a thread tells the others once a second
how far this worker is; that shows their common progress, too.
"""

from __future__ import annotations

import enum
import json
import threading
import types

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.cluster.workers import Workers, WorkersError
from trainer.terminal.command import Preempted
from trainer.terminal.signals import StopAsked

_SECONDS = 1.0
_ASKED, _STOPPED, _ERROR = "asked to stop", "stopped", "error"


class _State(enum.Enum):
    WORKING, FINISHED, FAILED = range(3)


def work_of(
    workers: Workers, label: str, total: int, unit: str, done: int = 0
) -> OwnWork | SharedWork:
    """A block of work with a progress line, which all workers share; see ProgressLine.

    Args:
      workers: the workers, each of which does a part.
      label, total, unit: of all their work.
      done: items that were done before.
    """
    line = ProgressLine(label, total, unit, done)
    return SharedWork(workers, line, done) if workers.several else OwnWork(line, done)


class OwnWork:
    """The work of one worker alone."""

    def __init__(self, line: ProgressLine, done: int = 0):
        self._line, self._done = line, done

    def __enter__(self) -> OwnWork:
        return self

    def did(self, items: int) -> None:
        """Says that more items are done."""
        self._done += items
        self._line.update(self._done)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._line.close()


class SharedWork:
    """A block in which each worker does a part; leaving it waits for the others.

    The workers must not exchange anything else within the block.

    Args:
      workers: the workers, several of them; all enter the block.
      line: shows the progress of all.
      done: of the items of `line`, those that were done before.

    Raises:
      WorkersError: on leaving the block or in `did`, if another worker has failed.
      StopAsked, Preempted: likewise, if another worker was stopped.
      WorkerLost: likewise, if another worker is gone.
    """

    def __init__(self, workers: Workers, line: ProgressLine, done: int = 0):
        self._workers, self._line, self._before = workers, line, done
        self._own, self._state, self._failure = 0, _State.WORKING, ""
        self._error: Exception | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> SharedWork:
        self._thread.start()
        return self

    def did(self, items: int) -> None:
        """Says that this worker has done more items; call it about once a second or more often."""
        self._own += items
        if self._error is not None:
            raise self._error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if error is None:
            self._state = _State.FINISHED
        elif error is not self._error:
            self._failure = json.dumps([_kind(error), str(error)])
            self._state = _State.FAILED
        self._wake.set()
        self._thread.join()
        self._line.close()
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while self._exchange():
                self._wake.wait(_SECONDS)
        except Exception as error:  # it is raised in the worker's own thread
            self._error = error

    def _exchange(self) -> bool:
        """Tells the others how far this worker is; returns whether some still work."""
        state = self._state  # it may change meanwhile
        own = [float(self._own), *(float(state is one) for one in _State)]
        done, working, _, failed = self._workers.sums(np.array(own)).tolist()
        if failed:
            failures = self._workers.gather(self._failure if state is _State.FAILED else "")
            if state is not _State.FAILED:
                self._error = self._failure_of_others(failures)
            return False
        if self._workers.is_chief:
            self._line.update(self._before + int(done))
        return bool(working)

    def _failure_of_others(self, failures: list[str]) -> Exception:
        index, text = next((place, text) for place, text in enumerate(failures) if text)
        kind, message = json.loads(text)
        name = self._workers.name(index)
        if kind == _ASKED:
            return StopAsked()
        if kind == _STOPPED:
            return Preempted(
                f"{name} was stopped. All workers end; start the same command again on all of "
                "them: it does what is left."
            )
        return WorkersError(f"{name} cannot go on: {message}")


def _kind(error: BaseException) -> str:
    if isinstance(error, StopAsked):
        return _ASKED
    stopped = isinstance(error, Preempted) or not isinstance(error, Exception)
    return _STOPPED if stopped else _ERROR
