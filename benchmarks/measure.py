"""Measures fairly on a busy machine: with turns, warm-up and time windows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def take_turns(
    part: str, runs: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, list[Any]]:
    """Calls each of `runs` once per round, for `repeats` rounds.

    Each round starts with a different run, so that none is always the first.

    Args:
      part: the part of the benchmarks, for the progress line on stderr.
      runs: name -> function to call.

    Returns:
      name -> the returned values, in the order of the rounds.
    """
    names = list(runs)
    results: dict[str, list[Any]] = {name: [] for name in names}
    for turn in range(repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            say(f"{part}: turn {turn + 1} of {repeats}, {name}")
            results[name].append(runs[name]())
    return results


def say(text: str) -> None:
    """Prints one line of progress to stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def picture_rate(batches: Iterator[Any], seconds: float, warm_up: int = 5) -> float:
    """The rate of batches (pictures [b, ...], ...), in pictures per second.

    Args:
      batches: an endless iterator.
      seconds: measuring time.
      warm_up: number of batches before the clock starts; they fill the buffers.
    """
    for _ in range(warm_up):
        next(batches)
    pictures, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        pictures += len(next(batches)[0])
    return pictures / elapsed


def cpu_seconds(batches: Iterator[Any], number: int, warm_up: int = 5) -> float:
    """Seconds of a core per picture, averaged over `number` batches.

    Unlike a rate, this hardly depends on the machine's other work.
    """
    for _ in range(warm_up):
        next(batches)
    start = time.process_time()
    pictures = sum(len(next(batches)[0]) for _ in range(number))
    return (time.process_time() - start) / pictures


def memory_of(pid: int) -> int:
    """Bytes of a process and its children; shared memory (libraries) counts once."""
    import psutil  # here, because only this needs it: other parts run where it is missing

    own, shared = 0, 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            memory = one.memory_info()
            own += memory.rss - memory.shared
            shared = max(shared, memory.shared)
    except psutil.Error:  # it has just ended
        return 0
    return own + shared
