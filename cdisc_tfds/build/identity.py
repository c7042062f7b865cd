"""What a data set is made of, in its metadata; and whether the files at hand are the same.

Keys of `info.metadata` (the file `metadata.json`):

    digest                 of all records: the categories, and each split's records in their order
    num_products, num_pictures, rejected   counts by split (`rejected`: also by kind)
    shard_bytes            size of each shard, by split
    index_digest           `ProductIndex.digest` by split
    records_digest         by split; covers ids, labels and the hash of each picture
    origin                 `sources`: by split, name, size, time and sample of the file;
                           `categories_digest`: SHA-256 of category_names.csv;
                           `max_examples_per_split`: the limit that was asked for, or null

TFDS iterates over each key's value, so that none can be null or a number.
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
    """The data set that is there was made from other files, or with other options."""


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What the metadata says of a split; see the module's table."""

    num_products: int
    num_pictures: int
    rejected: dict[str, int]
    shard_bytes: list[int]
    index_digest: str
    records_digest: str


@dataclasses.dataclass(frozen=True)
class Origin:
    """What decides which records a data set has.

    Attributes:
      sources: by split, what recognises its file (`SourceFile.to_metadata`).
      categories_digest: of category_names.csv.
      limit: at most so many products a split, or None.
    """

    sources: dict[str, dict[str, Any]]
    categories_digest: str
    limit: int | None

    @classmethod
    def of(
        cls, files: Mapping[str, SourceFile], categories_digest: str, limit: int | None
    ) -> Origin:
        """Args: files: by split."""
        sources = {split: file.to_metadata() for split, file in files.items()}
        return cls(sources, categories_digest, limit)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Origin | None:
        """None for a data set that does not say: it was built before version 0.2.0."""
        try:
            origin = metadata["origin"]
        except KeyError:
            return None
        return cls(origin["sources"], origin["categories_digest"], origin["max_examples_per_split"])

    def to_metadata(self, splits: Mapping[str, SplitFacts]) -> dict[str, Any]:
        """All of the metadata, given what was built."""
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
    """A file may be copied and renamed: size and contents count."""
    return None if source is None else (source["bytes"], source["sample"])


def _told(source: dict[str, Any] | None) -> str:
    return "no file" if source is None else f"{source['file']} ({source['bytes']:,} bytes)"


def _limited(limit: int | None) -> str:
    return "all" if limit is None else f"at most {limit:,}"
