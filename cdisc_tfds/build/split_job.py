"""The request for a split's build, and its result; the split's folder stores both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

from cdisc_tfds.build.identity import SplitFacts
from cdisc_tfds.build.part_plan import PartPlan
from cdisc_tfds.build.rejections import FILE as REJECTIONS
from cdisc_tfds.build.source_files import SourceFiles
from cdisc_tfds.manual_files import Source
from cdisc_tfds.product_index import ProductIndex, ProductIndexError
from cdisc_tfds.whole_files import write_json

# A process holds its current part in memory. All processes together stay below this limit, unless
# there are many: parts must not get too small, because a shard reads from every part.
PARTS_MEMORY_BYTES = 512 << 20
MAX_PART_BYTES = 128 << 20
SMALL_PART_BYTES = 64 << 20
# But no split has more parts than this: a shard reads a stretch of each. They then get larger, for
# example 1 GB of an input of 8 TB.
MOST_PARTS = 8192
# A part smaller than this is not worth another process.
MIN_PART_BYTES = 32 << 20

# Increase this when the same input gives other parts or shards, so that builds ignore old ones.
_FORMAT = 5


@dataclasses.dataclass(frozen=True)
class SplitJob:
    """The request.

    Attributes:
      source: the split, its files, and whether it is labelled.
      files: the identity of those files.
      categories_csv: path of the build's own copy of category_names.csv.
      categories_digest: SHA-256 of its contents.
      folder: the split's own folder, created if needed.
      keep_going: skip damaged stretches instead of stopping.
      limit: maximum number of products (the first ones of the files), or None.
      reread: write the shards from the files themselves; the records are the same either way.
      keep_reread: resume an interrupted build with its own `reread`, and ignore this one.
      sharding: (number of records, their bytes without framing) -> number of records of each shard.
      sharding_id: text that identifies the settings behind `sharding`.
      shard_name: (shard number, number of shards) -> file name.
    """

    source: Source
    files: SourceFiles
    categories_csv: str
    categories_digest: str
    folder: pathlib.Path
    keep_going: bool
    limit: int | None
    reread: bool
    keep_reread: bool
    sharding: Callable[[int, int], list[int]]
    sharding_id: str
    shard_name: Callable[[int, int], str]

    @property
    def index_path(self) -> pathlib.Path:
        return ProductIndex.path_in(self.folder, self.source.split)

    def prepare(self, num_processes: int) -> PartPlan:
        """The parts to make. Clears the folder if its contents are from another job."""
        description = self.folder / "job.json"
        found = _read_json(description)
        part_bytes, reread = found.pop("part_bytes", 0), found.pop("reread", None)
        wanted = self._description()
        if found != wanted or (reread != self.reread and not self.keep_reread):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            part_bytes, reread = _part_bytes(self.files.num_bytes, num_processes), self.reread
            write_json(description, wanted | {"part_bytes": part_bytes, "reread": reread})
        return PartPlan(
            source=self.source,
            files=self.files,
            categories_csv=self.categories_csv,
            folder=os.fspath(self.folder),
            keep_going=self.keep_going,
            part_bytes=part_bytes,
            reread=reread,
        )

    def digest(self, num_processes: int) -> str:
        """16 hexadecimal digits that depend on the input, and on all parts and shards."""
        part_bytes = _part_bytes(self.files.num_bytes, num_processes)
        values = self._description() | {"part_bytes": part_bytes, "reread": self.reread}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def _description(self) -> dict[str, Any]:
        """Everything that the folder's contents depend on."""
        return {
            "format": _FORMAT,
            "split": self.source.split,
            "labelled": self.source.labelled,
            "files": [dataclasses.asdict(file) for file in self.files.files],
            "categories": self.categories_digest,
            "keep_going": self.keep_going,
            "limit": self.limit,
            "sharding": self.sharding_id,
        }


def _part_bytes(size: int, num_processes: int) -> int:
    memory = max(SMALL_PART_BYTES, PARTS_MEMORY_BYTES // num_processes)
    # At least two parts of each split per process, so that all processes stay busy until the end.
    wanted = max(MIN_PART_BYTES, -(-size // (2 * num_processes)))
    return max(min(MAX_PART_BYTES, memory, wanted), -(-size // MOST_PARTS))


@dataclasses.dataclass(frozen=True)
class BuiltSplit:
    """A finished split, in its folder.

    Attributes:
      shard_names, shard_lengths: file name and number of records of each shard.
      num_bytes: bytes of all records, without framing.
      rejections_bytes: size of the list of rejected items.
      facts: the split's entries in the data set's metadata.
    """

    shard_names: list[str]
    shard_lengths: list[int]
    num_bytes: int
    rejections_bytes: int
    facts: SplitFacts

    def save(self, job: SplitJob) -> None:
        write_json(job.folder / "built.json", dataclasses.asdict(self))

    @classmethod
    def load(cls, job: SplitJob) -> BuiltSplit | None:
        """The result of an earlier build, or None if a file is missing or has another size."""
        try:
            values = _read_json(job.folder / "built.json")
            built = cls(**values | {"facts": SplitFacts(**values["facts"])})
            sizes = [os.path.getsize(job.folder / name) for name in built.shard_names]
            rejections_bytes = os.path.getsize(job.folder / REJECTIONS)
            index_digest = ProductIndex.load(job.index_path).digest
        except (KeyError, TypeError, FileNotFoundError, ProductIndexError):
            return None
        found = (sizes, rejections_bytes, index_digest)
        expected = (built.facts.shard_bytes, built.rejections_bytes, built.facts.index_digest)
        return built if found == expected else None


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    """The file's object; empty if the file is missing or not valid JSON."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
