"""A pool of fresh Python processes for the build."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

# `cdisc_tfds` imports TFDS to register the data set, unless this variable is set. The import takes
# half a second, and a process that only handles bytes does not need it.
WORKER_VARIABLE = "CDISCOUNT_BUILD_WORKER"


class Pool:
    """Runs functions in `num_processes` processes; a pool of one uses this process.

    The pool spawns its processes, because forking a process that runs TensorFlow's threads may
    hang. They end when this process ends, even if it is killed.

    Attributes:
      num_processes: the number of processes.
      turn: lock of the split whose parts are in progress. While the shards of one split wait for
        the disk, the processes make the parts of the next.
    """

    def __init__(self, num_processes: int):
        self._executor = _executor(num_processes) if num_processes > 1 else None
        self._lock = threading.Lock()
        self.num_processes = num_processes if self._executor is not None else 1
        self.turn = threading.Lock()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def cancel(self) -> None:
        """Cancels the calls that have not begun; waiting for them raises CancelledError."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def submit(
        self, function: Callable[[Any], Any], argument: Any
    ) -> concurrent.futures.Future[Any]:
        """Submits a call. Without processes, the future's `result()` runs it."""
        if self._executor is None:
            return _Now(function, argument)
        with self._lock, _light_children():
            return self._executor.submit(without_collector, function, argument)


def _executor(num_processes: int) -> concurrent.futures.ProcessPoolExecutor | None:
    """An executor; None if the system has no shared memory for locks between processes."""
    try:
        return concurrent.futures.ProcessPoolExecutor(
            num_processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_heed_only_parent,
        )
    except (OSError, ImportError, NotImplementedError) as error:
        logging.warning(
            "Several processes need shared memory (/dev/shm), which cannot be used here: %s. The "
            "build goes on in one process.",
            error,
        )
        return None


class _Now(concurrent.futures.Future[Any]):
    """A future whose `result()` computes it."""

    def __init__(self, function: Callable[[Any], Any], argument: Any):
        super().__init__()
        self._function, self._argument = function, argument

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self.set_result(without_collector(self._function, self._argument))
        return super().result(timeout)


def without_collector(function: Callable[[Any], Any], argument: Any) -> Any:
    """Calls the function with Python's garbage collector off.

    Products create no reference cycles, but so many objects that the collector took a tenth of the
    time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return function(argument)
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _light_children() -> Iterator[None]:
    """Makes processes that start within the block import only the functions that they run.

    A spawned process repeats the main script's imports: TensorFlow for the `tfds` command, or the
    whole script if it lacks `if __name__ == "__main__"`. An empty main module prevents this.
    """
    main, before = sys.modules["__main__"], os.environ.get(WORKER_VARIABLE)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ[WORKER_VARIABLE] = "1"
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if before is None:
            del os.environ[WORKER_VARIABLE]
        else:
            os.environ[WORKER_VARIABLE] = before


def _heed_only_parent() -> None:
    """Ends this process when its parent ends, so that a killed build leaves no idle processes.

    Ctrl-C reaches all processes of a terminal; the parent alone answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None  # only processes of a pool run this

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
