"""The identity of a data set's inputs and records, and the check that the inputs are unchanged.

Keys of `info.metadata` (the file `metadata.json`):

    digest                 covers the categories, and each split's records in order
    num_products, num_pictures, rejected   counts by split (`rejected`: also by kind)
    shard_bytes            size of each shard, by split
    index_digest           `ProductIndex.digest` by split
    records_digest         by split; covers ids, labels and the hash of each picture
    origin                 `sources`: by split, name, size, time and sample of the file;
                           `categories_digest`: SHA-256 of category_names.csv;
                           `max_examples_per_split`: the requested limit, or null

TFDS iterates over the value of each key, so a value cannot be null or a number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from cdisc_tfds.build.source_file import WHOLE_BYTES, SourceFile
from cdisc_tfds.manual_files import CATEGORIES


class OtherSourcesError(ValueError):
    """The existing data set comes from other files or other options."""


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """The metadata of a split; see the module's table."""

    num_products: int
    num_pictures: int
    rejected: dict[str, int]
    shard_bytes: list[int]
    index_digest: str
    records_digest: str


@dataclasses.dataclass(frozen=True)
class Origin:
    """The inputs that determine the records of a data set.

    Attributes:
      sources: the identity of each split's file (`SourceFile.to_metadata`), by split.
      categories_digest: SHA-256 of category_names.csv.
      limit: maximum number of products per split, or None.
    """

    sources: dict[str, dict[str, Any]]
    categories_digest: str
    limit: int | None

    @classmethod
    def of(
        cls, files: Mapping[str, SourceFile], categories_digest: str, limit: int | None
    ) -> Origin:
        """Args: files: the file of each split, by split."""
        sources = {split: file.to_metadata() for split, file in files.items()}
        return cls(sources, categories_digest, limit)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Origin | None:
        """Reads the origin; None for a data set built before version 0.2.0, which has none."""
        try:
            origin = metadata["origin"]
        except KeyError:
            return None
        return cls(origin["sources"], origin["categories_digest"], origin["max_examples_per_split"])

    def to_metadata(self, splits: Mapping[str, SplitFacts]) -> dict[str, Any]:
        """The complete metadata, given the built splits."""
        facts = {
            field.name: {split: getattr(fact, field.name) for split, fact in splits.items()}
            for field in dataclasses.fields(SplitFacts)
        }
        return {
            "digest": _digest(self.categories_digest, facts["records_digest"]),
            **facts,
            "origin": {
                "sources": self.sources,
                "categories_digest": self.categories_digest,
                "max_examples_per_split": self.limit,
            },
        }

    def require_same(self, other: Origin, dataset_dir: object) -> None:
        """Raises OtherSourcesError unless a build from `other` would give the same data set."""
        if differences := self._differences(other):
            raise OtherSourcesError(
                f"The data set in {dataset_dir} was not built from what is there now:\n"
                + "".join(f"    {line}\n" for line in differences)
                + "To build it again, add --overwrite (in Python: "
                "DownloadConfig(download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)). To keep "
                "it, choose another folder for the new one with --data_dir."
            )
        for split, mine in self.sources.items():
            touched = mine["modified"] != other.sources[split]["modified"]
            if touched and mine["bytes"] > WHOLE_BYTES:
                logging.warning(
                    "%s was modified since the data set was built from it; its size and samples of "
                    "its contents are the same. If its products changed, add --overwrite.",
                    mine["file"],
                )

    def _differences(self, other: Origin) -> list[str]:
        lines = []
        for split in sorted({*self.sources, *other.sources}):
            before, now = self.sources.get(split), other.sources.get(split)
            if _recognised(before) != _recognised(now):
                same_name = before and now and _told(before) == _told(now)
                told = "the same size, other contents" if same_name else _told(now)
                lines.append(f"split {split}: from {_told(before)}; now {told}")
        if self.categories_digest != other.categories_digest:
            lines.append(f"{CATEGORIES}: other contents")
        if self.limit != other.limit:
            lines.append(f"products a split: {_limited(self.limit)}; now {_limited(other.limit)}")
        return lines


def _digest(categories_digest: str, records_digest: dict[str, str]) -> str:
    parts = {"categories": categories_digest, "records": records_digest}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _recognised(source: dict[str, Any] | None) -> tuple[int, str] | None:
    """The size and contents of a file, which stay the same when it is copied or renamed."""
    return None if source is None else (source["bytes"], source["sample"])


def _told(source: dict[str, Any] | None) -> str:
    return "no file" if source is None else f"{source['file']} ({source['bytes']:,} bytes)"


def _limited(limit: int | None) -> str:
    return "all" if limit is None else f"at most {limit:,}"
