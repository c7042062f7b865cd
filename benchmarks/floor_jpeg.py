"""The floor of every input pipeline: libjpeg-turbo on all cores, its result thrown away."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

try:
    import simplejpeg
except ImportError:  # the extra `bench` has it
    simplejpeg = None

MISSING = "needs `pip install simplejpeg` (the extra `bench`)"


def decode(jpeg: bytes, buffer: np.ndarray | None = None) -> np.ndarray:
    """uint8 [height, width, 3] of a JPEG: libjpeg-turbo's accurate result, as ours."""
    return simplejpeg.decode_jpeg(
        jpeg, colorspace="RGB", fastdct=False, fastupsample=False, buffer=buffer, strict=False
    )


def decoding_rate(jpegs: Sequence[bytes], threads: int, seconds: float) -> float:
    """Pictures a second that `threads` threads decode, each into a buffer of its own.

    Args:
      jpegs: decoded again and again; enough of them not to stay in the processor's cache.
      threads: one a core.
      seconds: measuring time.
    """
    counts = [0] * threads
    deadline = time.perf_counter() + seconds

    def work(thread: int) -> None:
        largest = max(np.prod(simplejpeg.decode_jpeg_header(jpeg)[:2]) for jpeg in jpegs[:1000])
        buffer = np.empty(4 * 3 * int(largest), np.uint8)
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
