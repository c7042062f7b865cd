import asyncio
import contextlib
import dataclasses
import threading

import pytest

from trainer.service.batching import Batcher


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    pictures: int = 1


class Recorder:
    """Doubles names; remembers the batches; the first waits until it may go."""

    def __init__(self):
        self.batches: list[list[str]] = []
        self.may_go = threading.Event()

    def __call__(self, batch: list[Work]) -> list[str]:
        self.batches.append([work.name for work in batch])
        assert self.may_go.wait(20)
        if any(work.name == "bad" for work in batch):
            raise ZeroDivisionError("bad")
        return [work.name * 2 for work in batch]


def run(scenario, recorder, max_pictures=4, max_wait=0.0):
    """Runs `scenario(batcher)` while batches are formed."""

    async def main():
        batcher = Batcher(recorder, max_pictures, max_wait)
        task = asyncio.create_task(batcher.run())
        try:
            return await asyncio.wait_for(scenario(batcher), 20)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return asyncio.run(main())


async def first_in_the_network(batcher, recorder):
    """Submits `a`, and waits until the network works on it."""
    task = asyncio.create_task(batcher.submit(Work("a")))
    while not recorder.batches:
        await asyncio.sleep(0.001)
    return task


def test_what_arrives_while_the_network_works_goes_together():
    recorder = Recorder()

    async def scenario(batcher):
        first = await first_in_the_network(batcher, recorder)
        others = [asyncio.create_task(batcher.submit(Work(name))) for name in "bcdefg"]
        await asyncio.sleep(0.01)
        recorder.may_go.set()
        return await asyncio.gather(first, *others)

    assert run(scenario, recorder) == ["aa", "bb", "cc", "dd", "ee", "ff", "gg"]
    assert recorder.batches == [["a"], ["b", "c", "d", "e"], ["f", "g"]]


def test_work_is_never_cut_and_keeps_its_order():
    recorder = Recorder()
    sizes = {"b": 3, "c": 2, "d": 2, "e": 9, "f": 1}

    async def scenario(batcher):
        first = await first_in_the_network(batcher, recorder)
        others = [
            asyncio.create_task(batcher.submit(Work(name, size))) for name, size in sizes.items()
        ]
        await asyncio.sleep(0.01)
        recorder.may_go.set()
        await asyncio.gather(first, *others)

    run(scenario, recorder)
    assert recorder.batches == [["a"], ["b"], ["c", "d"], ["e"], ["f"]]


def test_an_idle_network_waits_for_others():
    recorder = Recorder()
    recorder.may_go.set()

    async def scenario(batcher):
        first = asyncio.create_task(batcher.submit(Work("a")))
        await asyncio.sleep(0.01)
        return await asyncio.gather(first, batcher.submit(Work("b")))

    assert run(scenario, recorder, max_wait=5.0, max_pictures=2) == ["aa", "bb"]
    assert recorder.batches == [["a", "b"]]  # full: it did not wait five seconds


def test_it_waits_no_longer_than_it_was_told():
    recorder = Recorder()
    recorder.may_go.set()
    assert run(lambda batcher: batcher.submit(Work("a")), recorder, max_wait=0.01) == "aa"


def test_cancelled_work_is_left_out():
    recorder = Recorder()

    async def scenario(batcher):
        first = await first_in_the_network(batcher, recorder)
        gone, stays = (asyncio.create_task(batcher.submit(Work(name))) for name in "bc")
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        recorder.may_go.set()
        return await asyncio.gather(first, stays)

    assert run(scenario, recorder) == ["aa", "cc"]
    assert recorder.batches == [["a"], ["c"]]


def test_a_failure_reaches_the_requests_of_its_batch_alone():
    recorder = Recorder()

    async def scenario(batcher):
        first = await first_in_the_network(batcher, recorder)
        bad, beside = (asyncio.create_task(batcher.submit(Work(name))) for name in ("bad", "c"))
        await asyncio.sleep(0.01)
        recorder.may_go.set()
        for task in (bad, beside):
            with pytest.raises(ZeroDivisionError):
                await task
        return await asyncio.gather(first, batcher.submit(Work("d")))

    assert run(scenario, recorder) == ["aa", "dd"]
