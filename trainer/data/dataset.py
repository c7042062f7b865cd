"""The built data set for the trainer: splits, their files, and an index of their products.

Nothing here reads records. The index that `tfds build` writes next to the shards lists the
products, pictures and categories of each split, so counts and steps are exact and cost nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cdisc_tfds.categories import Categories
from cdisc_tfds.local_path import local_path
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.tfrecord import OVERHEAD_BYTES
from trainer.data.label_map import LabelMap

NAME = "cdiscount"
_BUILD = "tfds build cdiscount --imports=cdisc_tfds --manual_dir=DIR"
_COPY_OR_BUILD = (
    "Copy the data set again if the copy was cut short; otherwise build it again: " + _BUILD
)
# Part of TensorFlow's error message when a record and the index disagree.
OTHER_RECORDS = "records that the index does not have"


class DatasetError(ValueError):
    """The data set has not been built, is incomplete, or has no such split."""


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
    """

    spec: str
    files: tuple[FilePart, ...]
    index: ProductIndex

    @property
    def num_products(self) -> int:
        return len(self.index)

    @property
    def num_pictures(self) -> int:
        return self.index.total_pictures


class CdiscountData:
    """A built `cdiscount` data set.

    Attributes:
      data_path: folder of the data set's version, which holds the shards.
      categories_path: its copy of `category_names.csv`.
      categories: the categories, in label order.
    """

    def __init__(self, data_path: str | os.PathLike[str]):
        self.data_path = pathlib.Path(data_path)
        self.categories_path = self.data_path / "category_names.csv"
        self._indexes: dict[str, ProductIndex] = {}
        self._builder = _opened(self.data_path)
        if self._builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise DatasetError(
                "The trainer reads data sets in TFRecord files. "
                f"{self.data_path} has the format {self._builder.info.file_format.value}. Build "
                f"it again without --file_format: {_BUILD}"
            )

    @functools.cached_property
    def categories(self) -> Categories:
        if not self.categories_path.exists():
            raise DatasetError(
                "A data set that was built by this project keeps category_names.csv beside its "
                f"shards. {self.categories_path} does not exist. Build it again: {_BUILD}"
            )
        return Categories.from_csv(self.categories_path)

    @functools.cached_property
    def label_map_digest(self) -> str:
        """Digest of the categories' order and hierarchy, for networks over all categories."""
        return LabelMap(self.categories).digest

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of products in each split."""
        return {name: info.num_examples for name, info in self._builder.info.splits.items()}

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
        pieces: list[ProductIndex] = []
        taken: dict[str, list[tuple[int, int]]] = {}
        for part in files:
            name, shard_start = self._place_of_file[os.path.basename(part.path)]
            start = shard_start + part.skip
            pieces.append(self._index(name)[start : start + part.take])
            taken.setdefault(name, []).append((start, start + part.take))
        for ranges in taken.values():
            ranges.sort()
            if any(a[1] > b[0] for a, b in zip(ranges, ranges[1:], strict=False)):
                raise DatasetError(
                    "A split holds each product once. The parts that are added in "
                    f"{spec!r} overlap. Choose parts that do not."
                )
        index = ProductIndex(
            *(
                np.concatenate([getattr(piece, field) for piece in pieces])
                for field in ("product_id", "num_pictures", "category")
            )
        )
        return Split(spec, files, index)

    def _files(self, spec: str) -> tuple[FilePart, ...]:
        try:
            instructions = self._builder.info.splits[spec].file_instructions
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
        places = {}
        for name, info in self._builder.info.splits.items():
            starts = np.cumsum([0, *info.shard_lengths])
            for path, start in zip(info.filepaths, starts[:-1], strict=True):
                places[os.path.basename(path)] = (name, int(start))
        return places

    def _index(self, name: str) -> ProductIndex:
        """The index of a whole split."""
        if name not in self._indexes:
            self._indexes[name] = self._load_index(name)
        return self._indexes[name]

    def _load_index(self, name: str) -> ProductIndex:
        self._check_shards(name)
        path = ProductIndex.path_in(self.data_path, name)
        index = ProductIndex.load(path)
        if len(index) != self.split_sizes[name]:
            raise DatasetError(
                f"{path} must have a row for each of the {self.split_sizes[name]:,} products of "
                f"the split {name!r}. It has {len(index):,}. Build the data set again: "
                f"{_BUILD}"
            )
        digest = self._metadata("index_digest", name)
        if digest is not None and digest != index.digest:
            raise DatasetError(
                f"{path} is not the index that this data set was built with (its digest is not "
                "the one in metadata.json): it was changed, or is of another build. Copy the data "
                f"set again, or build it again: {_BUILD}"
            )
        return index

    def _metadata(self, key: str, split: str) -> Any:
        """Reads a split's value from the data set's metadata; None if built before version 0.2."""
        return (self._builder.info.metadata or {}).get(key, {}).get(split)

    def _check_shards(self, name: str) -> None:
        """Raises DatasetError unless every shard of a split exists and has the right size.

        Without this, a shard truncated between two records would look like one with fewer products.
        Damage within records shows when they are read.
        """
        info = self._builder.info.splits[name]
        for path in info.filepaths:
            if not os.path.exists(path):
                raise DatasetError(
                    f"The {len(info.filepaths)} shards of the split {name!r} must be in "
                    f"{self.data_path}. Received: no {path}. {_COPY_OR_BUILD}"
                )
        found = [os.path.getsize(path) for path in info.filepaths]
        expected = self._metadata("shard_bytes", name)
        if expected is None:  # only the total is known
            total = info.num_bytes + OVERHEAD_BYTES * info.num_examples
            if sum(found) != total:
                raise DatasetError(
                    f"The {len(found)} shards of the split {name!r} in {self.data_path} must have "
                    f"{total:,} bytes in all. Received: {sum(found):,} bytes. {_COPY_OR_BUILD}"
                )
            return
        for path, size, right in zip(info.filepaths, found, expected, strict=True):
            if size != right:
                raise DatasetError(
                    f"The shard {path} must have {right:,} bytes. Received: {size:,} bytes. "
                    f"{_COPY_OR_BUILD}"
                )


def records_identity(split: Split) -> list[list[str | int]]:
    """Name, range, size and time of change of each file of a split, for keys of computed values."""
    stats = [(part, os.stat(part.path)) for part in split.files]
    return [
        [os.path.basename(part.path), part.skip, part.take, stat.st_size, stat.st_mtime_ns]
        for part, stat in stats
    ]


def damaged_shard(split: Split, error: Exception) -> DatasetError:
    """Returns a DatasetError that explains TensorFlow's error about the records of a split.

    Raises:
      Exception: `error` itself, if it is not about the records.
    """
    if OTHER_RECORDS in str(error):
        return DatasetError(
            "The records of a split must be those of its index, in the index's order. The shards "
            f"of {split.spec!r} in {_folder(split)} hold other products, or other categories: a "
            "shard or the index comes from another build. Copy the data set again, or build it "
            f"again: {_BUILD}"
        )
    if "No such file or directory" in str(error):
        return DatasetError(
            "The shards of a split must stay while they are read. One of the split "
            f"{split.spec!r} is no longer in {_folder(split)}: the data set was deleted or is "
            "built again. Start the same command again once it is whole."
        )
    found = re.search("(corrupted|truncated) record at [0-9]+|Could not parse example", str(error))
    if not found:
        raise error
    place = "a record of another format" if found[1] is None else f"a {found[0]}"
    return DatasetError(
        f"The records of the split {split.spec!r} must be intact. Received from the shards in "
        f"{_folder(split)}: {place}. Copy the data set again, or build it again: {_BUILD}"
    )


def _folder(split: Split) -> str:
    return os.path.dirname(split.files[0].path)


def _opened(data_path: pathlib.Path) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder_from_directory(str(data_path))
        dict(builder.info.metadata or {})  # TFDS reads it lazily
        return builder
    except Exception as error:  # TFDS and protobuf raise many kinds for a damaged file
        raise DatasetError(
            f"TFDS must be able to read the data set in {data_path}. Received, from "
            "dataset_info.json, features.json, metadata.json or the labels: "
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}. {_COPY_OR_BUILD}"
        ) from error


def data_root(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The absolute path of TFDS's data folder, with links resolved.

    Args:
      data_dir: the folder; None: TFDS's default ($TFDS_DATA_DIR, else `~/tensorflow_datasets`).

    Raises:
      PathError: if it has a scheme (gs://, s3://, ...).
    """
    named = "--data_dir" if data_dir else "TFDS_DATA_DIR"
    return pathlib.Path(local_path(data_dir or tfds.core.constants.DATA_DIR, named)).resolve()


def open_dataset(data_dir: str | os.PathLike[str] | None = None) -> CdiscountData:
    """Opens the newest version of the `cdiscount` data set in `data_dir`.

    Args:
      data_dir: TFDS's data folder, as in `data_root`.

    Raises:
      DatasetError: if it has not been built there.
    """
    root = data_root(data_dir)
    versions = tfds.core.utils.version.list_all_versions(root / NAME)
    # An interrupted build leaves a folder without this file.
    built = [v for v in versions if (root / NAME / str(v) / "dataset_info.json").exists()]
    if not built:
        given = "" if data_dir is None else f" --data_dir={data_dir}"
        raise DatasetError(
            f"The data set must be built first. {root / NAME} holds no finished version. Build it "
            f"with `{_BUILD}{given}`, where DIR holds train.bson, test.bson and "
            "category_names.csv, or give the folder where it is with --data_dir."
        )
    return CdiscountData(root / NAME / str(max(built)))


def products_in_common(first: Split, second: Split) -> np.ndarray:
    """Ids of the products in both splits: int64, ascending."""
    return np.intersect1d(first.index.product_id, second.index.product_id)


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
