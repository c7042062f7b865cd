"""Workers that are threads of one process, for tests of what workers do together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from trainer.cluster.workers import Workers
from trainer.data.lanes import Worker

_SECONDS = 30


class Meeting:
    """Where threads add up their numbers."""

    def __init__(self, count: int):
        self.count = count
        self.barrier = threading.Barrier(count, timeout=_SECONDS)
        self.rows: list[np.ndarray | None] = [None] * count


class ThreadWorkers(Workers):
    """One of the threads; everything but the sums is the project's own."""

    def __init__(self, meeting: Meeting, index: int):
        super().__init__()
        self._meeting, self._index = meeting, index

    @property
    def this(self) -> Worker:
        return Worker(self._index, self._meeting.count)

    @property
    def several(self) -> bool:
        return True

    def sums(self, values: np.ndarray) -> np.ndarray:
        meeting = self._meeting
        meeting.rows[self._index] = values
        meeting.barrier.wait()
        total = np.sum(np.stack([row for row in meeting.rows if row is not None]), axis=0)
        meeting.barrier.wait()  # nobody may begin the next sum before
        return total


def together(count: int, do: Callable[[ThreadWorkers], Any]) -> list[Any]:
    """What `do` returns for each worker, or the error that it raises."""
    meeting = Meeting(count)
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        try:
            results[index] = do(ThreadWorkers(meeting, index))
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
