"""One split from its `.bson` file to shards, index and list of what was left out.

Two passes, each over independent pieces that any number of processes may take: `sorted_parts`
reads the file once, front to back, and tells the order; then the shards are written, from the file
itself (`reread_shards`) where it stays in the page cache, else from sorted copies of its parts
(`merged_shards`), so that all access to the disk is sequential. The result depends on the file
only.

Everything is made in a folder of the split's own and stays there until the data set is complete. An
interrupted build leaves finished parts and shards, and the next one goes on from them if it is
asked for the same; what is unfinished has no name yet.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import numpy as np

from cdisc_tfds.build.arena import free_process_arena
from cdisc_tfds.manual_files import Source
from cdisc_tfds.build.merged_shards import Merge, MergeTask
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.products import KINDS, Rejection, duplicate
from cdisc_tfds.build.reread_shards import Reread, RereadTask
from cdisc_tfds.build.sorted_parts import (
    Part,
    PartTask,
    finished_part,
    make_part,
    read_columns,
    read_rejections,
)
from cdisc_tfds.tfrecord import OVERHEAD_BYTES
from cdisc_tfds.whole_files import rename_synced, whole_file

# A part is held in memory by the process that makes it. All processes together stay below this, but
# for many: the smaller the parts, the more places on the disk has a shard to be read from.
PARTS_MEMORY_BYTES = 512 << 20
MAX_PART_BYTES = 128 << 20
SMALL_PART_BYTES = 64 << 20
# Less is not worth another process.
MIN_PART_BYTES = 32 << 20

# Counts up when the same input gives other parts or shards: old ones are not continued then.
_FORMAT = 3
OnProgress = Callable[[int, int], None]


class BuildError(RuntimeError):
    """The build cannot go on."""


@dataclasses.dataclass(frozen=True)
class SplitJob:
    """What is asked for.

    Attributes:
      source: the split, its file, and whether it is labelled.
      categories_csv: path of category_names.csv.
      folder: the split's own folder, made if need be.
      keep_going: skip damaged stretches instead of stopping.
      limit: at most so many products (the first of the file), or None.
      reread: whether shards are written from the file itself; the records are the same.
      keep_reread: an interrupted build is continued as it was begun, whatever `reread` says.
      sharding: (number of records, their bytes without framing) -> number of records of each shard.
      sharding_id: what else `sharding` depends on, as text.
      shard_name: (number of the shard, number of shards) -> file name.
    """

    source: Source
    categories_csv: str
    folder: pathlib.Path
    keep_going: bool
    limit: int | None
    reread: bool
    keep_reread: bool
    sharding: Callable[[int, int], list[int]]
    sharding_id: str
    shard_name: Callable[[int, int], str]


@dataclasses.dataclass(frozen=True)
class BuiltSplit:
    """A finished split, in its folder.

    Attributes:
      shard_names, shard_lengths, shard_bytes: file name, records and size of each shard.
      num_bytes: bytes of all records, without framing.
      rejected: how many pictures, products and stretches of bytes were left out.
    """

    shard_names: list[str]
    shard_lengths: list[int]
    shard_bytes: list[int]
    num_bytes: int
    rejected: dict[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class _Order:
    """The order of a split.

    Attributes:
      rows: int64 [n], rows of the parts' tables (end to end) in the split's order.
      first_document: int64 [parts + 1], how many documents precede each part.
      duplicates: rows whose product an earlier row has already.
      last_document: no product behind this document belongs to the split.
    """

    rows: np.ndarray
    first_document: np.ndarray
    duplicates: np.ndarray
    last_document: int


def build_split(
    job: SplitJob, pool: Pool, num_processes: int, on_progress: OnProgress
) -> BuiltSplit:
    """Builds a split, or what is missing of it.

    Args:
      job: what to build.
      pool: who does it.
      num_processes: how many the pool has.
      on_progress: is called with (bytes, products) done since the last call; reading and writing
        count alike, together twice the file's bytes.

    Raises:
      BsonError: damage in the file, unless `keep_going`.
      OSError: for one, the disk is full. Started again, the build continues.
      BuildError: the file has no product that can be used.
    """
    tasks = _prepare(job, num_processes)
    if (built := _finished(job)) is not None:
        on_progress(2 * os.path.getsize(job.source.path), sum(built.shard_lengths))
        return built
    with pool.turn:
        if job.limit is None:
            parts = _make_parts(tasks, pool, num_processes, on_progress)
        else:
            parts = _make_first_parts(tasks, job.limit, on_progress)
        free_process_arena()  # without a pool the parts were made here
    tasks = tasks[: len(parts)]
    tables = [task.table for task in tasks]
    order = _order(tables, parts, job.limit)
    rejected = _write_rejections(job, tables, parts, order)
    if not len(order.rows):
        raise BuildError(
            f"A split must have products. Received: {job.source.path}, none of whose "
            f"{order.first_document[-1]} documents can be used; {job.folder / 'rejected.jsonl'} "
            "says why of each."
        )
    built = _write_shards(job, tasks, parts, order, pool, num_processes, on_progress)
    built = dataclasses.replace(built, rejected=rejected)
    _index(tables, order).save(ProductIndex.path_in(job.folder, job.source.split))
    with whole_file(job.folder / "built.json") as file:
        file.write(json.dumps(dataclasses.asdict(built)).encode())
    for task in tasks:
        if task.records:
            os.unlink(task.records)
    return built


def _prepare(job: SplitJob, num_processes: int) -> list[PartTask]:
    """The parts to make. Clears the folder if what it holds was made for another job."""
    path, size = job.source.path, os.path.getsize(job.source.path)
    wanted = {
        "format": _FORMAT,
        "source": [*job.source, size, os.stat(path).st_mtime_ns],
        "categories": hashlib.sha256(pathlib.Path(job.categories_csv).read_bytes()).hexdigest(),
        "keep_going": job.keep_going,
        "limit": job.limit,
        "sharding": job.sharding_id,
    }
    description = job.folder / "job.json"
    found = json.loads(description.read_text()) if description.exists() else {}
    part_bytes, reread = found.pop("part_bytes", 0), found.pop("reread", None)
    if found != wanted or reread != job.reread and not job.keep_reread:
        shutil.rmtree(job.folder, ignore_errors=True)
        job.folder.mkdir(parents=True)
        memory = max(SMALL_PART_BYTES, PARTS_MEMORY_BYTES // num_processes)
        # Two parts of each split a process at least, so that all are busy up to the end.
        wanted_bytes = max(MIN_PART_BYTES, -(-size // (2 * num_processes)))
        part_bytes, reread = min(MAX_PART_BYTES, memory, wanted_bytes), job.reread
        chosen = {"part_bytes": part_bytes, "reread": reread}
        with whole_file(description) as file:
            file.write(json.dumps(wanted | chosen).encode())
    return [
        PartTask(
            path=path,
            begin=begin,
            end=min(begin + part_bytes, size),
            split=job.source.split,
            labelled=job.source.labelled,
            keep_going=job.keep_going,
            categories_csv=job.categories_csv,
            records=None if reread else os.fspath(job.folder / f"part-{number:05d}.records"),
            table=os.fspath(job.folder / f"part-{number:05d}.npz"),
        )
        for number, begin in enumerate(range(0, size, part_bytes))
    ]


def _finished(job: SplitJob) -> BuiltSplit | None:
    """What an earlier build finished, if all of it is still there."""
    try:
        built = BuiltSplit(**json.loads((job.folder / "built.json").read_text()))
        sizes = [os.path.getsize(job.folder / name) for name in built.shard_names]
    except FileNotFoundError:
        return None
    return built if sizes == built.shard_bytes else None


def _make_parts(
    tasks: list[PartTask], pool: Pool, num_processes: int, on_progress: OnProgress
) -> list[Part]:
    """All parts. Each one's guess of where it starts is proven by where the part before it ends."""
    waiting = collections.deque(tasks)
    results: collections.deque[Part | concurrent.futures.Future] = collections.deque()
    parts: list[Part] = []
    landing = documents = 0
    try:
        for task in tasks:
            # A few ahead only: shards of another split that are ready come in between.
            while waiting and len(results) < 2 * num_processes:
                ahead = waiting.popleft()
                results.append(finished_part(ahead) or pool.submit(make_part, ahead))
            result = results.popleft()
            part = result if isinstance(result, Part) else result.result()
            if part.start != landing:  # bytes that only looked like a document
                part = make_part(dataclasses.replace(task, start=landing))
            if part.damage is not None:
                raise part.damage.counted_from(documents)
            parts.append(part)
            landing, documents = part.landing, documents + part.documents
            on_progress(task.end - task.begin, part.products)
    finally:
        for result in results:
            if not isinstance(result, Part):
                result.cancel()
    return parts


def _make_first_parts(tasks: list[PartTask], limit: int, on_progress: OnProgress) -> list[Part]:
    """Parts up to the one with the last of the first `limit` products, one after the other."""
    parts: list[Part] = []
    landing = documents = 0
    found: set[int] = set()
    for task in tasks:
        # Duplicates do not count: a part may have to be read further than seemed enough.
        wanted = limit - len(found)
        while True:
            part = make_part(dataclasses.replace(task, start=landing, limit=wanted))
            if part.damage is not None:
                raise part.damage.counted_from(documents)
            ids = set(read_columns([task.table], "product_id").tolist())
            if len(found | ids) >= limit or part.products < wanted:
                break
            wanted += limit - len(found | ids)
        found |= ids
        parts.append(part)
        landing, documents = part.landing, documents + part.documents
        on_progress(task.end - task.begin, part.products)
        if len(found) >= limit:
            break
    return parts


def _order(tables: list[str], parts: list[Part], limit: int | None) -> _Order:
    """Sorts all products by key; of those with the same `_id` the first in the file stays."""
    first_document = np.cumsum([0, *(part.documents for part in parts)])
    # Stable: where keys are equal, rows stay in the order of the file.
    order = np.lexsort((read_columns(tables, "key_low"), read_columns(tables, "key_high")))
    product_id = read_columns(tables, "product_id")[order]
    again = np.flatnonzero(product_id[1:] == product_id[:-1]) + 1
    rows = np.delete(order, again)
    last_document = int(first_document[-1])
    if limit is not None and limit < len(rows):
        document = read_columns(tables, "document") + np.repeat(
            first_document[:-1], [part.products for part in parts]
        )
        last_document = int(np.partition(document[rows], limit - 1)[limit - 1])
        rows = rows[document[rows] <= last_document]
    return _Order(rows, first_document, order[again], last_document)


def _index(tables: list[str], order: _Order) -> ProductIndex:
    names = ("product_id", "num_pictures", "category")
    return ProductIndex(*(read_columns(tables, name)[order.rows] for name in names))


def _write_rejections(
    job: SplitJob, tables: list[str], parts: list[Part], order: _Order
) -> dict[str, int]:
    """Writes `rejected.jsonl` in the order of the file, a line each, and counts them by kind."""
    counts: collections.Counter[str] = collections.Counter()
    duplicates = np.sort(order.duplicates)
    row = 0
    with whole_file(job.folder / "rejected.jsonl") as file:
        for table, part, first in zip(tables, parts, order.first_document.tolist()):
            rejections = read_rejections(table)
            inside = duplicates[(row <= duplicates) & (duplicates < row + part.products)] - row
            rejections += _duplicates(table, inside)
            row += part.products
            for rejection in sorted(rejections, key=lambda one: one.document):
                counted = dataclasses.replace(rejection, document=rejection.document + first)
                if counted.document <= order.last_document:
                    counts[counted.kind] += 1
                    file.write(counted.to_json(job.source.split).encode() + b"\n")
    return {kind: counts[kind] for kind in KINDS}


def _duplicates(table: str, rows: np.ndarray) -> Iterator[Rejection]:
    if not len(rows):
        return
    columns = (read_columns([table], name)[rows] for name in ("document", "offset", "product_id"))
    for document, offset, product_id in zip(*(column.tolist() for column in columns)):
        yield duplicate(document, offset, product_id)


def _write_shards(
    job: SplitJob,
    tasks: list[PartTask],
    parts: list[Part],
    order: _Order,
    pool: Pool,
    num_processes: int,
    on_progress: OnProgress,
) -> BuiltSplit:
    """Writes the shards from the last to the first, and cuts off what the parts need no more.

    Parts are in the order of the split, so that their ends are used up first: the disk holds the
    records once, and a few shards.
    """
    records = (_merge if tasks[0].records else _reread)(tasks, parts, order)
    num_bytes = int(records.size.sum()) - OVERHEAD_BYTES * len(order.rows)
    lengths = job.sharding(len(order.rows), num_bytes)
    ends = np.cumsum(lengths).tolist()
    names = [job.shard_name(number, len(lengths)) for number in range(len(lengths))]
    bytes_read = sum(task.end - task.begin for task in tasks)
    waiting: collections.deque = collections.deque()
    ahead = 2 * num_processes  # no more: their plans take memory
    with concurrent.futures.ThreadPoolExecutor(ahead) as threads:
        for number in reversed(range(len(lengths))):
            begin, end = ends[number] - lengths[number], ends[number]
            path = os.fspath(job.folder / names[number])
            task = None if os.path.exists(path) else records.shard(path, begin, end)
            waiting.append((begin, end, task and threads.submit(_write_shard, pool, task)))
            while len(waiting) > (ahead if number else 0):
                begin, end, shard = waiting.popleft()
                if shard is not None:
                    shard.result()
                records.release(begin, end)
                on_progress(bytes_read * (end - begin) // len(order.rows), 0)
    sizes = [os.path.getsize(job.folder / name) for name in names]
    return BuiltSplit(names, lengths, sizes, num_bytes, {})


def write_shard(task: MergeTask | RereadTask) -> None:
    """What a process does for a shard."""
    task.write()


def _write_shard(pool: Pool, task: MergeTask | RereadTask) -> None:
    """Has a process write a shard. The disk is waited for here: the process goes on meanwhile."""
    written = f"{task.path}.written"
    pool.submit(write_shard, dataclasses.replace(task, path=written)).result()
    rename_synced(written, task.path)


def _merge(tasks: list[PartTask], parts: list[Part], order: _Order) -> Merge:
    tables = [task.table for task in tasks]
    size = read_columns(tables, "size")
    products = [part.products for part in parts]
    part = np.repeat(np.arange(len(parts), dtype=np.int32), products)
    # Offsets as if the parts' files were one, then from the start of each.
    offset = np.concatenate([[0], np.cumsum(size)])
    part_offset = offset[np.cumsum([0, *products])[:-1]]
    offset = offset[:-1] - np.repeat(part_offset, products)
    return Merge(
        [task.records for task in tasks], part[order.rows], offset[order.rows], size[order.rows]
    )


def _reread(tasks: list[PartTask], parts: list[Part], order: _Order) -> Reread:
    tables = [task.table for task in tasks]
    offset, size = (read_columns(tables, name)[order.rows] for name in ("offset", "size"))
    return Reread(tasks[0].path, tasks[0].labelled, tasks[0].categories_csv, offset, size)
