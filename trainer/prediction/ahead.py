"""Computes the next results while the current one is used."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import tensorflow as tf

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yields function(item) in the items' order, computed ahead of the consumer.

    While the consumer uses one result, the device computes the next. One thread is enough for a
    CPU. A GPU gets two: with one, it would idle from the end of a step to the start of the next.
    """
    threads = 2 if tf.config.list_logical_devices("GPU") else 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        pending: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
