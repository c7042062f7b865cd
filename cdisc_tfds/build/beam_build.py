"""Builds all splits on a runner of Apache Beam: in two stages, without a shuffle of pictures.

    parts of the .bson files -> sorted parts in the build's folder         (workers)
    the tables of all parts  -> the split's order                          (this process)
    stretches of all parts   -> shards                                     (workers)

The stages do what the local build does, with its functions, so the data set is the same, byte for
byte. This process makes what is left: a part that starts at bytes which only look like a document,
and the first parts of a build of the first products (each depends on the one before).

The build's folder and the .bson files must lie on storage that all machines see at the same path. A
killed build may leave workers behind on a cluster. So a split's folder has the digest of its job in
its name: such workers write the same pieces, or do not find their folder any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cdisc_tfds.build.beam_runner import BeamRunError, BeamRunner
from cdisc_tfds.build.beam_units import (
    Failure,
    failures,
    forget_failures,
    is_made,
    make_one_part,
    plan_path,
    write_one_shard,
    write_shard_plan,
)
from cdisc_tfds.build.part_plan import PartPlan
from cdisc_tfds.build.part_sequence import OnProgress
from cdisc_tfds.build.processes import Pool
from cdisc_tfds.build.sorted_parts import finished_part
from cdisc_tfds.build.split_build import BuildError, OrderedSplit
from cdisc_tfds.build.split_job import BuiltSplit, SplitJob

# Parts are as small as for so many processes, however many workers there are: the data set does not
# depend on them, but what a stopped build has finished does.
WORKERS = 64
# Seconds until a file that another machine has written is seen here: systems such as NFS remember
# for up to a minute that a file was not there.
PATIENCE = 90.0
_POLL = 1.0
# Seconds without a finished piece until the build says so.
_SILENCE = 600.0


def build_on_beam(
    jobs: Sequence[SplitJob], runner: BeamRunner, on_progress: OnProgress
) -> list[BuiltSplit]:
    """Builds the splits, or their missing pieces.

    Args:
      jobs: the splits; each folder from `folder_of`.
      runner: what runs the pieces.
      on_progress: as for `build_split`.

    Raises:
      BuildError: the runner failed, or its workers do not see the build's files.
      Other errors as `build_split`.
    """
    built: dict[str, BuiltSplit] = {}
    with contextlib.ExitStack() as stack:
        plans = {}
        for job in jobs:
            stack.enter_context(job.files.unchanged())
            split, plan = job.source.split, job.prepare(WORKERS)
            if (finished := BuiltSplit.load(job)) is not None:
                built[split] = finished
                on_progress(2 * job.files.num_bytes, finished.facts.num_products)
            else:
                plans[split] = plan
        jobs_left = {job.source.split: job for job in jobs if job.source.split in plans}
        _make_parts(jobs_left, plans, runner, on_progress)
        pool = stack.enter_context(Pool(1))
        ordered = {
            split: OrderedSplit.read(job, plans[split].tasks(), pool, _products_of(on_progress))
            for split, job in jobs_left.items()
        }
        _write_shards(ordered, runner, on_progress)
        for split, one in ordered.items():
            one.shards.write(pool, lambda num_bytes, products: None)
            built[split] = one.built()
    for split, one in ordered.items():
        one.finish(built[split])
    return [built[job.source.split] for job in jobs]


def folder_of(job: SplitJob) -> SplitJob:
    """The same job in a folder beside its own that no other job has."""
    name = f"{job.source.split}-{job.digest(WORKERS)}"
    return dataclasses.replace(job, folder=job.folder.with_name(name), keep_reread=False)


# Parts and shards for the workers.


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A piece that a worker makes.

    Attributes:
      argument: (split, what the worker needs to know).
      num_bytes: its share of the input, for the progress.
      is_there: tells whether it is finished.
    """

    argument: tuple[str, Any]
    num_bytes: int
    is_there: Callable[[], bool]


def _make_parts(
    jobs: Mapping[str, SplitJob],
    plans: Mapping[str, PartPlan],
    runner: BeamRunner,
    on_progress: OnProgress,
) -> None:
    """Has the workers make the unfinished parts of all splits."""
    pieces = []
    for split, job in jobs.items():
        forget_failures(job.folder)
        for number, task in enumerate(plans[split].tasks() if job.limit is None else []):
            size = task.end - task.begin
            if finished_part(task) is None:
                there = functools.partial(is_made, task.table)
                pieces.append(_Piece((split, number), size, there))
            else:
                on_progress(size, 0)
    _run(runner, "parts", functools.partial(make_one_part, plans), pieces, jobs, on_progress)


def _write_shards(
    ordered: Mapping[str, OrderedSplit], runner: BeamRunner, on_progress: OnProgress
) -> None:
    """Has the workers write the unfinished shards of all splits."""
    pieces = []
    for split, one in ordered.items():
        forget_failures(one.job.folder)
        total = sum(shard.num_bytes for shard in one.shards.shards)
        for shard in one.shards.shards:
            size = one.shards.source_bytes * shard.num_bytes // total
            if shard.is_finished:
                on_progress(size, 0)
                continue
            write_shard_plan(one.shards, shard)
            there = functools.partial(getattr, shard, "is_finished")
            pieces.append(_Piece((split, plan_path(shard)), size, there))
    jobs = {split: one.job for split, one in ordered.items()}
    files = {split: job.files for split, job in jobs.items()}
    _run(runner, "shards", functools.partial(write_one_shard, files), pieces, jobs, on_progress)


def _run(
    runner: BeamRunner,
    name: str,
    function: Callable[[tuple[str, Any]], None],
    pieces: Sequence[_Piece],
    jobs: Mapping[str, SplitJob],
    on_progress: OnProgress,
) -> None:
    """Has the workers make the pieces, and checks that they are here; raises BuildError."""
    if not pieces:
        return
    with _Watch(name, pieces, on_progress) as watch:
        try:
            runner.run(name, function, [piece.argument for piece in pieces])
        except BeamRunError as error:
            notes = [note for job in jobs.values() for note in failures(job.folder)]
            raise BuildError(_told(error, notes, name)) from error
        missing = watch.wait(PATIENCE)
    if missing:
        folder = next(iter(jobs.values())).folder.parent
        raise BuildError(
            f"All machines of a build must see its folder at the same path, here {folder}. "
            f"Received: the workers of Beam finished, but {missing} of their {len(pieces)} {name} "
            "are not here. Choose a --data_dir on storage that all machines mount."
        )


def _told(error: BeamRunError, notes: Sequence[Failure], name: str) -> str:
    again = "What is finished is kept: started again, the build continues."
    if not notes:
        return f"{error} {again}"
    first = notes[0]
    others = f" ({len(notes) - 1} more failed.)" if len(notes) > 1 else ""
    return (
        f"Beam's workers could not make all {name}. On {first.host}, {first.piece}: "
        f"{first.reason}{others} {again}"
    )


# Progress.


class _Watch:
    """Looks for finished pieces every second, and reports them as progress."""

    def __init__(self, name: str, pieces: Sequence[_Piece], on_progress: OnProgress):
        self._name, self._left, self._on_progress = name, list(pieces), on_progress
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._seen = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, seconds: float) -> int:
        """Waits until all pieces are there, at most so long; returns how many are not."""
        end = time.monotonic() + seconds
        while (left := self._look()) and time.monotonic() < end:
            time.sleep(min(_POLL, seconds))
        return left

    def _watch(self) -> None:
        while not self._stop.wait(_POLL):
            self._look()
            if time.monotonic() - self._seen > _SILENCE:
                logging.warning(
                    "For %.0f minutes no worker of Beam has finished one of the %d %s that are "
                    "left. If a worker has ended and the runner does not replace it, stop the "
                    "build (Ctrl-C) and start it again: it continues.",
                    _SILENCE / 60,
                    len(self._left),
                    self._name,
                )
                self._seen = time.monotonic()

    def _look(self) -> int:
        """Reports the pieces that have been finished since the last look; returns what is left."""
        with self._lock:
            before, left = len(self._left), []
            num_bytes = 0
            for piece in self._left:
                if piece.is_there():
                    num_bytes += piece.num_bytes
                else:
                    left.append(piece)
            if len(left) < before:
                self._seen, self._left = time.monotonic(), left
                self._on_progress(num_bytes, 0)
            return len(self._left)


def _products_of(on_progress: OnProgress) -> OnProgress:
    """Passes on products alone: the bytes have been counted by the watch."""
    return lambda num_bytes, products: on_progress(0, products)
