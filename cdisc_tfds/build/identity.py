"""The identity of a data set's inputs and records, and the check that the inputs are unchanged.

Keys of `info.metadata` (the file `metadata.json`):

    digest                 covers the categories, and each split's records in order
    num_products, num_pictures, rejected   counts by split (`rejected`: also by kind)
    shard_bytes            size of each shard, by split
    index_digest           `ProductIndex.digest` by split
    records_digest         by split; covers ids, labels and the hash of each picture
    origin                 `sources`: by split, name, size, time and sample of each file;
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
from typing import Any, TypeAlias

from cdisc_tfds.build.source_files import SourceFiles, sample_bytes
from cdisc_tfds.manual_files import CATEGORIES
from cdisc_tfds.split_files import told

# The identity of each file of a split (`SourceFiles.to_metadata`).
_Sources: TypeAlias = list[dict[str, Any]]


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
      sources: the identity of each split's files, by split.
      categories_digest: SHA-256 of category_names.csv.
      limit: maximum number of products per split, or None.
    """

    sources: dict[str, _Sources]
    categories_digest: str
    limit: int | None

    @classmethod
    def of(
        cls, files: Mapping[str, SourceFiles], categories_digest: str, limit: int | None
    ) -> Origin:
        """Args: files: the files of each split, by split."""
        sources = {split: identity.to_metadata() for split, identity in files.items()}
        return cls(sources, categories_digest, limit)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Origin | None:
        """Reads the origin; None for a data set built before version 0.2.0, which has none."""
        try:
            origin = metadata["origin"]
        except KeyError:
            return None
        sources = {  # up to version 0.2, a split had one file
            split: [found] if isinstance(found, dict) else found
            for split, found in origin["sources"].items()
        }
        return cls(sources, origin["categories_digest"], origin["max_examples_per_split"])

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
            touched = [
                before["file"]
                for before, now in zip(mine, other.sources[split])
                if before["modified"] != now["modified"]
                and before["bytes"] > sample_bytes(len(mine))
            ]
            if touched:
                logging.warning(
                    "Modified since the data set was built from it: %s. Its size and samples of "
                    "its contents are the same. If its products changed, add --overwrite.",
                    told(touched),
                )

    def _differences(self, other: Origin) -> list[str]:
        lines = []
        for split in sorted({*self.sources, *other.sources}):
            before, now = self.sources.get(split), other.sources.get(split)
            if _recognised(before) != _recognised(now):
                lines.append(f"split {split}: from {_named(before)}; now {_changed(before, now)}")
        if self.categories_digest != other.categories_digest:
            lines.append(f"{CATEGORIES}: other contents")
        if self.limit != other.limit:
            lines.append(f"products a split: {_limited(self.limit)}; now {_limited(other.limit)}")
        return lines


def _digest(categories_digest: str, records_digest: dict[str, str]) -> str:
    parts = {"categories": categories_digest, "records": records_digest}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _recognised(sources: _Sources | None) -> list[tuple[int, str]] | None:
    """Size and contents of each file, which stay the same when it is copied or renamed."""
    return None if sources is None else [(file["bytes"], file["sample"]) for file in sources]


def _named(sources: _Sources | None) -> str:
    if sources is None:
        return "no file"
    size = sum(file["bytes"] for file in sources)
    return f"{told([file['file'] for file in sources])} ({size:,} bytes)"


def _changed(before: _Sources | None, now: _Sources | None) -> str:
    """What is there now; names the first of equally many files that is not as it was."""
    if before is None or now is None or len(before) != len(now):
        return _named(now)
    pairs = zip(before, now)
    was, found = next(pair for pair in pairs if _recognised([pair[0]]) != _recognised([pair[1]]))
    if (was["file"], was["bytes"]) != (found["file"], found["bytes"]):
        return _named([found])
    return f"{'' if len(now) == 1 else found['file'] + ' has '}the same size, other contents"


def _limited(limit: int | None) -> str:
    return "all" if limit is None else f"at most {limit:,}"
