"""Forms batches across requests: what arrives while the network works is predicted together."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar


class Sized(Protocol):
    """A piece of work."""

    @property
    def pictures(self) -> int:
        """How much of a batch it takes."""


_Work = TypeVar("_Work", bound=Sized)
_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True, eq=False)
class _Waiting(Generic[_Work]):
    work: _Work
    answer: asyncio.Future[Any]


class Batcher(Generic[_Work, _Answer]):
    """Calls a function with the work of several requests at a time, in a thread of its own.

    Work keeps its order. Work whose request was cancelled is left out.

    Args:
      function: from work to one answer for each piece, in order.
      max_pictures: of a batch; a single piece may have more.
      max_wait: seconds that the first piece of a batch waits for others.
    """

    def __init__(
        self,
        function: Callable[[list[_Work]], Sequence[_Answer]],
        max_pictures: int,
        max_wait: float,
    ):
        self._function, self._max_pictures, self._max_wait = function, max_pictures, max_wait
        self._waiting: collections.deque[_Waiting[_Work]] = collections.deque()
        self._pictures = 0  # of the work that waits
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "network")

    async def submit(self, work: _Work) -> _Answer:
        """Waits for the answer to a piece of work; raises what the function raised."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, answer))
        self._count(work.pictures)
        return await answer

    async def run(self) -> None:
        """Forms batches until it is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                if not self._full.is_set() and self._max_wait:
                    await _wait(self._full, self._max_wait)
                if batch := self._next():
                    await self._answer(batch)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _count(self, pictures: int) -> None:
        self._pictures += pictures
        for event, holds in (
            (self._arrived, bool(self._waiting)),
            (self._full, self._pictures >= self._max_pictures),
        ):
            if holds:
                event.set()
            else:
                event.clear()

    def _next(self) -> list[_Waiting[_Work]]:
        """Takes the next batch from what waits; empty if all of that was cancelled."""
        batch: list[_Waiting[_Work]] = []
        pictures = taken = 0
        while self._waiting:
            first = self._waiting[0]
            if not first.answer.cancelled():
                if batch and pictures + first.work.pictures > self._max_pictures:
                    break
                pictures += first.work.pictures
                batch.append(first)
            self._waiting.popleft()
            taken += first.work.pictures
        self._count(-taken)
        return batch

    async def _answer(self, batch: list[_Waiting[_Work]]) -> None:
        loop = asyncio.get_running_loop()
        works = [one.work for one in batch]
        try:
            answers = await loop.run_in_executor(self._thread, self._function, works)
        except Exception as error:  # each request reports it
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():  # its client may have gone
                one.answer.set_result(answer)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event, but no longer than some seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return
