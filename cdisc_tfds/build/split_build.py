"""Turns one split's `.bson` files into shards, an index and a list of rejected items.

The build takes two passes over independent pieces, with any number of processes: `sorted_parts`
reads the files once, front to back, and determines the order; then `shard_writing` writes the
shards. It reads from the files themselves (`reread_shards`) if the page cache holds them, else from
sorted copies of their parts (`merged_shards`), so that all access to the disk is sequential. The
result depends only on the products and their order, not on how they are cut into files.

Everything stays in the split's own folder until the data set is complete. An interrupted build
leaves finished parts and shards, and the next build of the same data set resumes from them. It
repeats pieces that are missing, unreadable or of the wrong size.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from cdisc_tfds.build.identity import SplitFacts
from cdisc_tfds.build.part_sequence import OnProgress, make_first_parts, make_parts
from cdisc_tfds.build.part_table import Part, PartTables
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.rejections import FILE as REJECTIONS
from cdisc_tfds.build.rejections import require_most, write_rejections
from cdisc_tfds.build.shard_writing import ShardPlan
from cdisc_tfds.build.sorted_parts import PartTask
from cdisc_tfds.build.split_job import BuiltSplit, SplitJob
from cdisc_tfds.build.split_order import SplitOrder, records_digest


class BuildError(RuntimeError):
    """The build cannot continue."""


def build_split(job: SplitJob, pool: Pool, on_progress: OnProgress) -> BuiltSplit:
    """Builds a split, or its missing pieces.

    Args:
      job: the split to build.
      pool: the processes to use.
      on_progress: called with (bytes, products) done since the last call; reading and writing
        count equally, in total twice the files' bytes.

    Raises:
      BsonError: a file is damaged, unless `keep_going`.
      OSError: for example, the disk is full. Repeat the build to resume it.
      ChangedFileError: a file changes during the build.
      TooManyRejectedError: most of its products are unusable, unless `keep_going`.
      BuildError: all of its products are unusable.
    """
    with job.files.unchanged():
        plan = job.prepare(pool.num_processes)
        if (built := BuiltSplit.load(job)) is not None:
            on_progress(2 * job.files.num_bytes, built.facts.num_products)
            return built
        ordered = OrderedSplit.read(job, plan.tasks(), pool, on_progress)
        ordered.shards.write(pool, on_progress)
        built = ordered.built()
    ordered.finish(built)
    return built


@dataclasses.dataclass(frozen=True, eq=False)
class OrderedSplit:
    """A split whose parts are finished, so that the place of each record is known.

    Attributes:
      job: the split's job.
      tasks: those of the parts that the split needs.
      order: the order of its products.
      rejected: number of rejected items by kind.
      shards: the shards, and where their records are.
    """

    job: SplitJob
    tasks: list[PartTask]
    order: SplitOrder
    rejected: dict[str, int]
    shards: ShardPlan

    @classmethod
    def read(
        cls, job: SplitJob, tasks: list[PartTask], pool: Pool, on_progress: OnProgress
    ) -> OrderedSplit:
        """Makes the parts that are missing, and lists the rejected items; raises as `build_split`.

        Args:
          job, pool, on_progress: as for `build_split`.
          tasks: those of all parts.
        """
        parts = _make_parts(job, tasks, pool, on_progress)
        tasks = tasks[: len(parts)]
        tables = PartTables([task.table for task in tasks], [part.products for part in parts])
        order = SplitOrder.of(tables, parts, job.limit, job.folder)
        rejected = _rejections(job, parts, order)
        shards = ShardPlan.of(job, tasks, order)
        if short := shards.short_parts():
            for number in short:
                os.unlink(tables.paths[number])
            _make_parts(job, tasks, pool, lambda num_bytes, products: None)
        return cls(job, tasks, order, rejected, shards)

    def built(self) -> BuiltSplit:
        """The split, once its shards are finished. Writes its index."""
        index = self.order.index()
        index.save(self.job.index_path)
        shards = self.shards.shards
        return BuiltSplit(
            shard_names=[os.path.basename(shard.path) for shard in shards],
            shard_lengths=[shard.end - shard.begin for shard in shards],
            num_bytes=self.shards.num_bytes,
            rejections_bytes=os.path.getsize(self.job.folder / REJECTIONS),
            facts=SplitFacts(
                len(index),
                index.total_pictures,
                self.rejected,
                [shard.num_bytes for shard in shards],
                index.digest,
                records_digest(index, self.order.contents()),
            ),
        )

    def finish(self, built: BuiltSplit) -> None:
        """Saves the result, then deletes the copies of the records."""
        built.save(self.job)
        for task in self.tasks:
            if task.records:
                pathlib.Path(task.records).unlink(missing_ok=True)


def _make_parts(
    job: SplitJob, tasks: list[PartTask], pool: Pool, on_progress: OnProgress
) -> list[Part]:
    """Makes all parts, or those that contain the first `limit` products."""
    with pool.turn:
        if job.limit is None:
            parts = make_parts(tasks, pool, on_progress)
        else:
            parts = make_first_parts(tasks, job.limit, on_progress)
    job.files.require_unchanged()
    return parts


def _rejections(job: SplitJob, parts: list[Part], order: SplitOrder) -> dict[str, int]:
    """Lists and counts the rejected items; raises if there are too many."""
    rejected = write_rejections(job.folder, job.source, job.files, parts, order)
    listed = os.fspath(job.folder / REJECTIONS)
    if not len(order.rows):
        raise BuildError(
            f"A split must have products. Received: {job.source}, none of whose "
            f"{order.first_document[-1]} documents can be used; {listed} says why of each."
        )
    if not job.keep_going:
        require_most(job.source, len(order.rows), rejected, listed)
    return rejected
