"""Makes all parts of a split's files; the end of each part proves the start of the next."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable

from cdisc_tfds.build.part_table import Part, read_column
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.sorted_parts import PartTask, finished_part, make_part

OnProgress = Callable[[int, int], None]


def make_parts(tasks: list[PartTask], pool: Pool, on_progress: OnProgress) -> list[Part]:
    """Makes the parts that an earlier build did not finish; returns all, in file order.

    Raises:
      BsonError: the file is damaged, unless the tasks keep going.
    """
    waiting = collections.deque(tasks)
    results: collections.deque[Part | concurrent.futures.Future[Part]] = collections.deque()
    sequence = _Sequence()
    try:
        for task in tasks:
            # Only a few ahead, so that ready shards of another split get their turn.
            while waiting and len(results) < 2 * pool.num_processes:
                ahead = waiting.popleft()
                results.append(finished_part(ahead) or pool.submit(make_part, ahead))
            result = results.popleft()
            part = result if isinstance(result, Part) else result.result()
            if not sequence.proves(part):  # it starts at bytes that only look like a document
                part = make_part(dataclasses.replace(task, start=sequence.landing))
            sequence.add(part)
            on_progress(task.end - task.begin, part.products)
    finally:
        for result in results:
            if not isinstance(result, Part):
                result.cancel()
    return sequence.parts


def make_first_parts(tasks: list[PartTask], limit: int, on_progress: OnProgress) -> list[Part]:
    """Makes parts one by one until they contain the first `limit` products."""
    sequence = _Sequence()
    found: set[int] = set()
    for task in tasks:
        # Duplicates do not count, so a part may need more products than `wanted` at first.
        wanted = limit - len(found)
        while True:
            part = make_part(dataclasses.replace(task, start=sequence.landing, limit=wanted))
            sequence.require_whole(part)
            ids = found | set(read_column(task.table, "product_id").tolist())
            if len(ids) >= limit or part.products < wanted:
                break
            wanted += limit - len(ids)
        sequence.add(part)
        found = ids
        on_progress(task.end - task.begin, part.products)
        if len(found) >= limit:
            break
    return sequence.parts


class _Sequence:
    """Parts that each start where the previous one ends.

    Attributes:
      landing: offset at which the next part must start; None accepts any first document.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.landing: int | None = 0
        self._documents = 0

    def proves(self, part: Part) -> bool:
        return self.landing is None or part.start == self.landing

    def require_whole(self, part: Part) -> None:
        if part.damage is not None:
            raise part.damage.counted_from(self._documents)

    def add(self, part: Part) -> None:
        self.require_whole(part)
        self.parts.append(part)
        self.landing = part.landing
        self._documents += part.documents
