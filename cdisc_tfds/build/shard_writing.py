"""Second half of the build: writes the shards of a split, from the last to the first."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from cdisc_tfds.build.large_columns import chunks, new_column, taken
from cdisc_tfds.build.merged_shards import Merge, MergeTask
from cdisc_tfds.build.part_sequence import OnProgress
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.reread_shards import Reread, RereadTask
from cdisc_tfds.build.sorted_parts import PartTask
from cdisc_tfds.build.split_job import SplitJob
from cdisc_tfds.build.split_order import SplitOrder
from cdisc_tfds.tfrecord import OVERHEAD_BYTES
from cdisc_tfds.whole_files import rename_synced


@dataclasses.dataclass(frozen=True)
class Shard:
    """Records `begin` to `end` of the split, in a file of `num_bytes` bytes."""

    path: str
    begin: int
    end: int
    num_bytes: int

    @property
    def is_finished(self) -> bool:
        """Whether an earlier build wrote it: a file of the expected size exists."""
        return os.path.exists(self.path) and os.path.getsize(self.path) == self.num_bytes


@dataclasses.dataclass(frozen=True, eq=False)
class ShardPlan:
    """All shards of a split, and the location of their records.

    Attributes:
      records: the location of each record.
      shards: all shards, in the split's order.
      num_bytes: bytes of all records, without framing.
      source_bytes: bytes of the files that the parts cover.
    """

    records: Merge | Reread
    shards: list[Shard]
    num_bytes: int
    source_bytes: int

    @classmethod
    def of(cls, job: SplitJob, tasks: list[PartTask], order: SplitOrder) -> ShardPlan:
        records = _merge(tasks, order) if tasks[0].records else _reread(job, tasks, order)
        num_bytes = int(records.size.sum()) - OVERHEAD_BYTES * len(order.rows)
        lengths = job.sharding(len(order.rows), num_bytes)
        ends = np.cumsum([0, *lengths]).tolist()
        shards = [
            Shard(
                os.fspath(job.folder / job.shard_name(number, len(lengths))),
                begin,
                end,
                int(records.size[begin:end].sum()),
            )
            for number, (begin, end) in enumerate(zip(ends, ends[1:]))
        ]
        return cls(records, shards, num_bytes, sum(task.end - task.begin for task in tasks))

    def short_parts(self) -> list[int]:
        """The parts that lack records for the unfinished shards."""
        unfinished = [shard for shard in self.shards if not shard.is_finished]
        return self.records.short_parts([(shard.begin, shard.end) for shard in unfinished])

    def write(self, pool: Pool, on_progress: OnProgress) -> None:
        """Writes the unfinished shards, and truncates the parts as shards use up their records.

        Each part is in the split's order, so the last shards use the ends of the parts. The disk
        never holds more than all records and a few shards.
        """
        waiting: collections.deque[tuple[Shard, concurrent.futures.Future[None] | None]]
        waiting = collections.deque()
        ahead = 2 * pool.num_processes  # no more, because their plans take memory
        with concurrent.futures.ThreadPoolExecutor(ahead) as threads:
            for number, task in enumerate(self._tasks(), start=1):
                shard = self.shards[-number]
                begun = None if task is None else threads.submit(_write_shard, pool, task)
                waiting.append((shard, begun))
                while len(waiting) > (ahead if number < len(self.shards) else 0):
                    shard, result = waiting.popleft()
                    if result is not None:
                        result.result()
                    self.records.release(shard.begin, shard.end)
                    share = (shard.end - shard.begin) / len(self.records.size)
                    on_progress(int(self.source_bytes * share), 0)

    def _tasks(self) -> Iterator[MergeTask | RereadTask | None]:
        """Yields one task per shard, from the last to the first; None for finished shards."""
        for shard in reversed(self.shards):
            yield (
                None
                if shard.is_finished
                else self.records.shard(shard.path, shard.begin, shard.end)
            )


def write_shard(task: MergeTask | RereadTask) -> None:
    """Writes a shard; runs in a process of the pool."""
    task.write()


def _write_shard(pool: Pool, task: MergeTask | RereadTask) -> None:
    """Has a process write a shard, then syncs it in this thread, so that the process is free."""
    written = f"{task.path}.written"
    pool.submit(write_shard, dataclasses.replace(task, path=written)).result()
    rename_synced(written, task.path)


def _merge(tasks: list[PartTask], order: SplitOrder) -> Merge:
    first_rows = order.tables.first_rows
    part = new_column(len(order.rows), np.int32, order.folder)
    for begin, end in chunks(len(part)):
        part[begin:end] = np.searchsorted(first_rows, order.rows[begin:end], "right") - 1
    column = order.tables.column("size")
    size = taken(column, order.rows, order.folder)
    for begin, end in zip(first_rows, first_rows[1:]):  # the sizes become offsets in the parts
        column[begin:end] = np.cumsum(column[begin:end]) - column[begin:end]
    offset = taken(column, order.rows, order.folder)
    return Merge([str(task.records) for task in tasks], part, offset, size)


def _reread(job: SplitJob, tasks: list[PartTask], order: SplitOrder) -> Reread:
    columns = map(order.column, ("offset", "size", "num_pictures"))
    return Reread(job.files.joined, tasks[0].labelled, tasks[0].categories_csv, *columns)
