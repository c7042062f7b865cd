"""The built data set for the trainer: splits and sub-splits, their files and products.

Nothing here reads records; see `cdisc_tfds.built_dataset`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re

import numpy as np

from cdisc_tfds.built_dataset import BUILD, BuiltDataset, DatasetError, newest_version
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.storage import path_of
from trainer.data.label_map import LabelMap

# Part of TensorFlow's error message when a record and the index disagree.
OTHER_RECORDS = "records that the index does not have"


@dataclasses.dataclass(frozen=True)
class FilePart:
    """Records [skip, skip + take) of one shard file."""

    path: str
    skip: int
    take: int


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Products of the data set, in the order in which their records are read.

    Attributes:
      spec: the split as requested, e.g. `train[:80%]`.
      files: the files and ranges that hold the records, in reading order.
      index: product id, number of pictures and category label of each product, in the same order.
      passing: whether the products are those of one command alone, such as photos that no data set
        holds. A run keeps no predictions of them, and gives no prior to those without a picture.
    """

    spec: str
    files: tuple[FilePart, ...]
    index: ProductIndex
    passing: bool = False

    @property
    def num_products(self) -> int:
        return len(self.index)

    @property
    def num_pictures(self) -> int:
        return self.index.total_pictures


class CdiscountData(BuiltDataset):
    """A built data set whose splits can be divided, in TFDS's notation."""

    @functools.cached_property
    def label_map_digest(self) -> str:
        """Digest of the categories' order and hierarchy, for networks over all categories."""
        return LabelMap(self.categories).digest

    def num_products(self, spec: str) -> int:
        """Number of products in a split or sub-split; at least 1."""
        return sum(part.take for part in self._files(spec))

    def split(self, spec: str) -> Split:
        """Resolves TFDS's sub-split notation: `train`, `train[:80%]`, `train[:800]+train[900:]`.

        Raises:
          DatasetError: if there is no such split, it has no products or a duplicate, or the index
            does not match the shards.
        """
        files = self._files(spec)
        pieces: list[tuple[str, int, int]] = []  # of splits: begin and end
        taken: dict[str, list[tuple[int, int]]] = {}
        for part in files:
            name, shard_start = self._place_of_file[os.path.basename(part.path)]
            start = shard_start + part.skip
            taken.setdefault(name, []).append((start, start + part.take))
            if pieces and (name, start) == (pieces[-1][0], pieces[-1][2]):
                start = pieces.pop()[1]  # the shard before ends there
            pieces.append((name, start, taken[name][-1][1]))
        for ranges in taken.values():
            ranges.sort()
            if any(a[1] > b[0] for a, b in zip(ranges, ranges[1:], strict=False)):
                raise DatasetError(
                    "A split holds each product once. The parts that are added in "
                    f"{spec!r} overlap. Choose parts that do not."
                )
        return Split(
            spec,
            files,
            ProductIndex.joined([self.index(name)[begin:end] for name, begin, end in pieces]),
        )

    def _files(self, spec: str) -> tuple[FilePart, ...]:
        try:
            instructions = self.builder.info.splits[spec].file_instructions
        except (KeyError, ValueError) as error:
            raise DatasetError(
                f"A split is one of {self._described_splits()}, or a part of one in TFDS's "
                f"notation (train[:80%], train[1000:2000], test+train). Received: {spec!r} "
                f"({str(error).splitlines()[0]})"
            ) from error
        files = tuple(FilePart(str(i.filename), i.skip, i.take) for i in instructions if i.take)
        if not files or any(part.take < 0 for part in files):
            raise DatasetError(
                f"A split must hold at least one product. {spec!r} holds none of "
                f"{self._described_splits()}."
            )
        return files

    def _described_splits(self) -> str:
        return ", ".join(f"{name} ({size:,} products)" for name, size in self.split_sizes.items())

    @functools.cached_property
    def _place_of_file(self) -> dict[str, tuple[str, int]]:
        """Name of each shard file -> (its split, number of records before it)."""
        return {
            os.path.basename(shard.path): (name, shard.first)
            for name in self.split_sizes
            for shard in self.shards(name)
        }


def records_identity(split: Split) -> list[list[str | int]]:
    """Name, range, size and time of change of each file of a split, for keys of computed values."""
    stats = [(part, path_of(part.path).stat()) for part in split.files]
    return [
        [os.path.basename(part.path), part.skip, part.take, stat.st_size, stat.st_mtime_ns]
        for part, stat in stats
    ]


def damaged_shard(split: Split, error: Exception) -> DatasetError:
    """Returns a DatasetError that explains an error about the records of a split.

    The error is TensorFlow's, or one of `cdisc_tfds.tfrecord` and `stored_record`.

    Raises:
      Exception: `error` itself, if it is not about the records.
    """
    if OTHER_RECORDS in str(error):
        return DatasetError(
            "The records of a split must be those of its index, in the index's order. The shards "
            f"of {split.spec!r} in {_folder(split)} hold other products, or other categories: a "
            "shard or the index comes from another build. Copy the data set again, or build it "
            f"again: {BUILD}"
        )
    if "No such file or directory" in str(error):
        return DatasetError(
            "The shards of a split must stay while they are read. One of the split "
            f"{split.spec!r} is no longer in {_folder(split)}: the data set was deleted or is "
            "built again. Start the same command again once it is whole."
        )
    found = re.search(
        "(corrupted|truncated) record at [0-9]+|Could not parse example|record of another format",
        str(error),
    )
    if not found:
        raise error
    place = "a record of another format" if found[1] is None else f"a {found[0]}"
    return DatasetError(
        f"The records of the split {split.spec!r} must be intact. Received from the shards in "
        f"{_folder(split)}: {place}. Copy the data set again, or build it again: {BUILD}"
    )


def _folder(split: Split) -> str:
    return os.path.dirname(split.files[0].path)


def open_dataset(data_dir: str | os.PathLike[str] | None = None) -> CdiscountData:
    """Opens the newest version of the `cdiscount` data set in `data_dir`.

    Args:
      data_dir: TFDS's data folder, as in `data_root`.

    Raises:
      DatasetError: if it has not been built there.
    """
    return CdiscountData(newest_version(data_dir))


def products_in_common(first: Split, second: Split) -> np.ndarray:
    """Ids of the products in both splits: int64, ascending."""
    return np.intersect1d(first.index.product_id, second.index.product_id, assume_unique=True)


def require_disjoint(train: Split, validation: Split) -> None:
    """Raises DatasetError if a product is in both splits, which would inflate the accuracy."""
    common = products_in_common(train, validation)
    if len(common):
        raise DatasetError(
            "Training and validation may not share products: the accuracy would be that of "
            f"pictures already seen. {train.spec!r} and {validation.spec!r} share {len(common):,}. "
            "Choose --train_split and --validation_split that do not overlap, e.g. train[:80%] "
            "and train[80%:]."
        )
