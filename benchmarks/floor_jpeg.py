"""The floor of every input pipeline: libjpeg-turbo on all cores, without keeping its results."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

import numpy as np

try:
    import simplejpeg
except ImportError:  # the extra `bench` has it
    simplejpeg = None

MISSING = "simplejpeg is not installed (`pip install simplejpeg`, or the extra `bench`)"


def decode(jpeg: bytes, buffer: np.ndarray | None = None) -> np.ndarray:
    """Decodes a JPEG to uint8 [height, width, 3], with libjpeg-turbo's accurate method as we do."""
    return simplejpeg.decode_jpeg(
        jpeg, colorspace="RGB", fastdct=False, fastupsample=False, buffer=buffer, strict=False
    )


def decoding_rate(jpegs: Sequence[bytes], threads: int, seconds: float) -> float:
    """Pictures per second that `threads` threads decode, each into its own buffer.

    Args:
      jpegs: pictures to decode repeatedly; they must exceed the processor's cache.
      threads: number of threads, usually one per core.
      seconds: measuring time.
    """
    counts, size = [0] * threads, _buffer_for(jpegs).size
    deadline = time.perf_counter() + seconds

    def work(thread: int) -> None:
        buffer = np.empty(size, np.uint8)
        place = thread
        while time.perf_counter() < deadline:
            decode(jpegs[place % len(jpegs)], buffer)
            place += threads
            counts[thread] += 1

    start = time.perf_counter()
    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - start)


def cpu_seconds(jpegs: Sequence[bytes]) -> float:
    """Mean seconds of a core to decode one of `jpegs`."""
    buffer = _buffer_for(jpegs)
    start = time.process_time()
    for jpeg in jpegs:
        decode(jpeg, buffer)
    return (time.process_time() - start) / len(jpegs)


def cpu_seconds_in_batches(jpegs: Sequence[bytes], batch_size: int) -> float:
    """The same, but with the results in new batches, as a consumer needs them.

    A batch does not fit in a core's cache, so its pixels go to memory.
    """
    size = _buffer_for(jpegs).size
    start = time.process_time()
    for first in range(0, len(jpegs), batch_size):
        some = jpegs[first : first + batch_size]
        for jpeg, buffer in zip(some, np.empty([len(some), size], np.uint8), strict=True):
            decode(jpeg, buffer)
    return (time.process_time() - start) / len(jpegs)


def _buffer_for(jpegs: Sequence[bytes]) -> np.ndarray:
    """A buffer for the largest decoded picture."""
    return np.empty(max(3 * math.prod(_size(jpeg)) for jpeg in jpegs), np.uint8)


def _size(jpeg: bytes) -> tuple[int, int]:
    height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    return height, width
