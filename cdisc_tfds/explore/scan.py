"""Reads the shards of a data set, all or some at random, with several processes."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from cdisc_tfds.build.processes import Pool
from cdisc_tfds.built_dataset import COPY_OR_BUILD, BuiltDataset, DatasetError, Shard
from cdisc_tfds.explore.shard_scan import DamagedShardError, ShardFacts, ShardTask, scan_shard
from cdisc_tfds.product_index import ProductIndex

# Called with the bytes that have been read since the last call.
OnBytes = Callable[[int], None]
# So many pictures give each quantile of their sizes to 0.2 percentage points.
_MEASURED_PICTURES = 250_000


@dataclasses.dataclass(frozen=True, eq=False)
class ScannedSplit:
    """A split: its index, and what its shards hold.

    Attributes:
      name: for example `train`.
      index: its products.
      shards: all its shards, in record order.
      read: bool [shards], those that were read.
      offsets: int64 [products], where each record starts in its shard; -1 where it was not read.
      hashes: int64 [pictures] in record order, of each picture; None if not all shards were read.
      num_read: number of pictures in the shards that were read.
      picture_bytes: the sizes of those pictures together.
      measured: int32 [measured pictures, 3]: bytes, width and height of a sample of those.
    """

    name: str
    index: ProductIndex
    shards: tuple[Shard, ...]
    read: np.ndarray
    offsets: np.ndarray
    hashes: np.ndarray | None
    num_read: int
    picture_bytes: int
    measured: np.ndarray

    @property
    def is_whole(self) -> bool:
        """Whether all shards were read."""
        return self.hashes is not None

    def shard_of(self, row: int) -> Shard:
        """The shard that holds the record of a row of the index."""
        ends = [shard.first + shard.num_products for shard in self.shards]
        return self.shards[int(np.searchsorted(ends, row, side="right"))]


def scan(
    data: BuiltDataset,
    *,
    max_shards: int = 0,
    seed: int = 0,
    num_processes: int = 1,
    on_start: Callable[[int], OnBytes],
) -> list[ScannedSplit]:
    """Reads the splits of a data set.

    Args:
      data: the data set.
      max_shards: read at most so many shards of each split, chosen at random; 0: all.
      seed: of the choice of shards and of the pictures to measure.
      num_processes: number of processes.
      on_start: called with the bytes that will be read; what it returns is called as they are.

    Raises:
      DatasetError: a shard is missing or damaged, or holds other products than the index.
      ProductIndexError: an index is missing or damaged.
    """
    plans = [_Plan.of(data, name, max_shards, seed) for name in data.split_sizes]
    on_bytes = on_start(sum(os.path.getsize(shard.path) for plan in plans for shard in plan.chosen))
    with Pool(num_processes) as pool:
        futures = [
            collections.deque(pool.submit(scan_shard, task) for task in plan.tasks)
            for plan in plans
        ]
        try:
            return [
                plan.collected(mine, on_bytes) for plan, mine in zip(plans, futures, strict=True)
            ]
        except DamagedShardError as error:
            raise DatasetError(f"{error} {COPY_OR_BUILD}") from None
        finally:
            pool.cancel()


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A split, and which of its shards to read."""

    name: str
    index: ProductIndex
    shards: tuple[Shard, ...]
    read: np.ndarray
    tasks: tuple[ShardTask, ...]

    @classmethod
    def of(cls, data: BuiltDataset, name: str, max_shards: int, seed: int) -> _Plan:
        index, shards = data.index(name), data.shards(name)
        rng = np.random.default_rng(seed)
        number = min(max_shards or len(shards), len(shards))
        read = np.zeros(len(shards), bool)
        read[rng.choice(len(shards), number, replace=False)] = True
        parts = [
            index[shard.first : shard.first + shard.num_products]
            for shard, chosen in zip(shards, read)
            if chosen
        ]
        every = max(1, sum(part.total_pictures for part in parts) // _MEASURED_PICTURES)
        tasks = tuple(
            ShardTask(shard.path, part, every, int(rng.integers(every)))
            for shard, part in zip(_chosen(shards, read), parts, strict=True)
        )
        return cls(name, index, shards, read, tasks)

    @property
    def chosen(self) -> list[Shard]:
        return _chosen(self.shards, self.read)

    def collected(
        self, futures: collections.deque[concurrent.futures.Future[ShardFacts]], on_bytes: OnBytes
    ) -> ScannedSplit:
        """The split with what its shards hold; empties `futures`, those of the chosen shards."""
        offsets = np.full(len(self.index), -1, np.int64)
        hashes = np.zeros(sum(task.index.total_pictures for task in self.tasks), np.int64)
        measured = [np.zeros((0, 3), np.int32)]
        picture_bytes = place = 0
        for shard in self.chosen:
            facts = futures.popleft().result()
            offsets[shard.first : shard.first + shard.num_products] = facts.offsets
            hashes[place : place + len(facts.hashes)] = facts.hashes
            place += len(facts.hashes)
            picture_bytes += facts.picture_bytes
            measured.append(facts.measured)
            on_bytes(os.path.getsize(shard.path))
        return ScannedSplit(
            self.name,
            self.index,
            self.shards,
            self.read,
            offsets,
            hashes if self.read.all() else None,
            len(hashes),
            picture_bytes,
            np.concatenate(measured),
        )


def _chosen(shards: Sequence[Shard], read: np.ndarray) -> list[Shard]:
    return [shard for shard, chosen in zip(shards, read, strict=True) if chosen]
