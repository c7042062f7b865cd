"""The pieces of a build on Beam: what a worker does, perhaps on another machine.

A piece is a part (as in `sorted_parts`) or a shard. Each worker reads and writes the same folders
as the build itself, so only numbers travel through Beam, and no picture. A piece appears under its
final name at once, written under a name of its own before, and it is the same whoever writes it:
a runner may repeat a piece, or run it twice at the same time, without harm.

An error also leaves a note in the folder, because runners pass on traces at best.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import os
import pathlib
import pickle
import socket
from collections.abc import Iterator, Mapping

from cdisc_tfds.build.folder import DISK_FULL
from cdisc_tfds.build.merged_shards import Merge
from cdisc_tfds.build.part_plan import PartPlan
from cdisc_tfds.build.processes import without_collector
from cdisc_tfds.build.reread_shards import Reread
from cdisc_tfds.build.shard_writing import Shard, ShardPlan
from cdisc_tfds.build.sorted_parts import finished_part, make_part
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.build.source_files import SourceFiles, sample_bytes
from cdisc_tfds.whole_files import partial_path, rename_synced, whole_file, write_json

# Beside the table of a part that has none, because its bytes are damaged.
DAMAGED = ".damaged"
_NOTE = ".failure.json"
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)


class WorkerError(RuntimeError):
    """A worker does not see the build's files, or cannot write its own."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """The note of a worker about an error.

    Attributes:
      piece: what the worker was making.
      host: the worker's machine.
      reason: the error.
    """

    piece: str
    host: str
    reason: str


# Parts.


def make_one_part(plans: Mapping[str, PartPlan], piece: tuple[str, int]) -> None:
    """Makes a part, unless it is finished.

    Args:
      plans: the parts of each split, by split.
      piece: (split, number of the part).
    """
    split, number = piece
    plan = plans[split]
    task = plan.task(number)
    with _noted(task.table, plan.folder, f"part {number} of {split}"):
        _require_same_files(plan.files, task.begin, task.end)
        if finished_part(task) is not None:
            return
        part = without_collector(make_part, task)
        if part.damage is not None:  # the build tells where, if the part truly starts there
            write_json(task.table + DAMAGED, {})


def is_made(table: str) -> bool:
    """Whether a worker has made the part with this table, or found it damaged."""
    return os.path.exists(table) or os.path.exists(table + DAMAGED)


# Shards.


def plan_path(shard: Shard) -> str:
    """The file that tells a worker what is in a shard: 20 bytes a record."""
    return f"{shard.path}.plan"


def write_shard_plan(plan: ShardPlan, shard: Shard) -> None:
    """Writes that file: the shard, and the location of its records."""
    with whole_file(plan_path(shard)) as file:
        pickle.dump((shard, plan.records.slice(shard.begin, shard.end)), file, protocol=5)


def write_one_shard(files: Mapping[str, SourceFiles], piece: tuple[str, str]) -> None:
    """Writes a shard, unless it is finished.

    Args:
      files: the `.bson` files of each split, by split.
      piece: (split, path of the shard's plan).
    """
    split, plan = piece
    with _noted(plan, os.path.dirname(plan), os.path.basename(plan).removesuffix(".plan")):
        shard, records = _read_plan(plan)
        if isinstance(records, Reread):
            _require_same_files(files[split], 0, files[split].num_bytes)
        if shard.is_finished:
            return
        written = os.fspath(partial_path(shard.path))
        task = records.shard(written, 0, shard.end - shard.begin)
        without_collector(type(task).write, task)
        rename_synced(written, shard.path)


def _read_plan(path: str) -> tuple[Shard, Merge | Reread]:
    with open(path, "rb") as file:
        shard, records = pickle.load(file)
    return shard, records


# What a worker must see, and what it says if it does not.


def _require_same_files(files: SourceFiles, begin: int, end: int) -> None:
    """Raises WorkerError unless this machine has the same files of bytes [begin, end)."""
    share = sample_bytes(len(files.files))
    for file in files.within(begin, end):
        _require_same_file(file, share)


def _require_same_file(file: SourceFile, share: int) -> None:
    """Raises WorkerError unless this machine has the same file at the same path."""
    try:
        found = os.stat(file.path)
    except OSError as error:
        received = error.strerror
    else:
        if _sample(file.path, found.st_size, found.st_mtime_ns, share) == file.sample:
            return
        other_size = found.st_size != file.num_bytes
        received = f"{found.st_size:,} bytes" if other_size else "other contents"
    raise WorkerError(
        f"Every worker must see {file.path} at this path, with {file.num_bytes:,} bytes, as the "
        f"machine of the build does. Received: {received}. Choose a --manual_dir on storage that "
        "all machines mount."
    )


@functools.lru_cache(maxsize=100_000)
def _sample(path: str, num_bytes: int, modified: int, share: int) -> str:
    """`SourceFile.sample`, computed once per process: it reads up to 64 MiB."""
    return SourceFile.of(path, share).sample


def _require_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        raise WorkerError(
            f"Every worker must see {folder}, which the build has made. Received: no such folder. "
            "Choose a --data_dir on storage that all machines mount at the same path, and stop "
            "the workers of earlier builds."
        )


@contextlib.contextmanager
def _noted(path: str, folder: str, piece: str) -> Iterator[None]:
    """Leaves a note beside `path` about an error within the block."""
    _require_folder(folder)
    try:
        yield
    except Exception as reported:
        error = _of_storage(reported, folder) or reported
        ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
        reason = str(error) if ours else f"{type(error).__name__}: {error}"
        failure = Failure(piece, socket.gethostname(), reason)
        # Where there is no room for a note either, the error itself must do.
        with contextlib.suppress(OSError):
            write_json(path + _NOTE, dataclasses.asdict(failure))
        if error is reported:
            raise
        raise error from reported


def _of_storage(error: Exception, folder: str) -> WorkerError | None:
    """What to do about a full or read-only folder; None for other errors."""
    if not isinstance(error, OSError):
        return None
    if error.errno in DISK_FULL:
        return WorkerError(
            f"The disk (or a limit on file sizes) is full: {error}. Make room in {folder}."
        )
    if error.errno in _NOT_ALLOWED:
        return WorkerError(
            f"Every worker must be able to read the build's input and to write to {folder}. "
            f"Received: {error}. Mount both so, for the user that the workers run as."
        )
    return None


def failures(folder: pathlib.Path) -> list[Failure]:
    """The notes in a split's folder, sorted by file name."""
    return [Failure(**json.loads(path.read_bytes())) for path in sorted(folder.glob(f"*{_NOTE}"))]


def forget_failures(folder: pathlib.Path) -> None:
    """Removes the notes, and the marks of damaged parts."""
    for pattern in (f"*{_NOTE}", f"*{DAMAGED}"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
