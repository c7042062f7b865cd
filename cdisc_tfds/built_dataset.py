"""A built data set: its version, splits, shards, indexes and categories, all checked.

Nothing here reads records. The index that `tfds build` writes next to the shards lists the
products, pictures and categories of each split, so counts are exact and cost nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from typing import Any

import tensorflow_datasets as tfds

from cdisc_tfds.categories import Categories
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.storage import path_of, size_of, storage_path
from cdisc_tfds.tfrecord import OVERHEAD_BYTES

NAME = "cdiscount"
BUILD = "tfds build cdiscount --imports=cdisc_tfds --manual_dir=DIR"
COPY_OR_BUILD = (
    "Copy the data set again if the copy was cut short; otherwise build it again: " + BUILD
)


class DatasetError(ValueError):
    """The data set has not been built, is incomplete, or has no such split."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split, with records [first, first + num_products) of it."""

    path: str
    first: int
    num_products: int


class BuiltDataset:
    """A built `cdiscount` data set.

    Attributes:
      data_path: folder of the data set's version, which holds the shards.
      categories_path: its copy of `category_names.csv`.
      categories: the categories, in label order.
      builder: TFDS's view of it.
    """

    def __init__(self, data_path: str | os.PathLike[str]):
        self.data_path = path_of(data_path)
        self.categories_path = self.data_path / "category_names.csv"
        self._indexes: dict[str, ProductIndex] = {}
        self.builder = _opened(self.data_path)
        if self.builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise DatasetError(
                "A data set must be in TFRecord files. "
                f"{self.data_path} has the format {self.builder.info.file_format.value}. Build "
                f"it again without --file_format: {BUILD}"
            )

    @functools.cached_property
    def categories(self) -> Categories:
        if not self.categories_path.exists():
            raise DatasetError(
                "A data set that was built by this project keeps category_names.csv beside its "
                f"shards. {self.categories_path} does not exist. Build it again: {BUILD}"
            )
        return Categories.from_csv(self.categories_path)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of products in each split."""
        return {name: info.num_examples for name, info in self.builder.info.splits.items()}

    def shards(self, name: str) -> tuple[Shard, ...]:
        """The shards of a whole split, in record order; some may be empty."""
        info = self.builder.info.splits[name]
        shards, first = [], 0
        for path, num_products in zip(info.filepaths, info.shard_lengths, strict=True):
            shards.append(Shard(str(path), first, num_products))
            first += num_products
        return tuple(shards)

    def metadata(self, key: str, split: str | None = None) -> Any:
        """A value of `metadata.json`; None if an earlier version built the data set without it.

        Args:
          key: the value's name.
          split: of which split, for values that have one for each.
        """
        value = (self.builder.info.metadata or {}).get(key)
        return value if split is None else (value or {}).get(split)

    def index(self, name: str) -> ProductIndex:
        """The index of a whole split, checked against its shards.

        Raises:
          DatasetError: if a shard is missing or has another size, or the index is of another build.
          ProductIndexError: if the index is missing or damaged.
        """
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
                f"{BUILD}"
            )
        digest = self.metadata("index_digest", name)
        if digest is not None and digest != index.digest:
            raise DatasetError(
                f"{path} is not the index that this data set was built with (its digest is not "
                "the one in metadata.json): it was changed, or is of another build. Copy the data "
                f"set again, or build it again: {BUILD}"
            )
        return index

    def _check_shards(self, name: str) -> None:
        """Raises DatasetError unless every shard of a split exists and has the right size.

        Without this, a shard truncated between two records would look like one with fewer products.
        Damage within records shows when they are read.
        """
        info = self.builder.info.splits[name]
        for path in info.filepaths:
            if not path_of(path).exists():
                raise DatasetError(
                    f"The {len(info.filepaths)} shards of the split {name!r} must be in "
                    f"{self.data_path}. Received: no {path}. {COPY_OR_BUILD}"
                )
        found = [size_of(path) for path in info.filepaths]
        expected = self.metadata("shard_bytes", name)
        if expected is None:  # only the total is known
            total = info.num_bytes + OVERHEAD_BYTES * info.num_examples
            if sum(found) != total:
                raise DatasetError(
                    f"The {len(found)} shards of the split {name!r} in {self.data_path} must have "
                    f"{total:,} bytes in all. Received: {sum(found):,} bytes. {COPY_OR_BUILD}"
                )
            return
        for path, size, right in zip(info.filepaths, found, expected, strict=True):
            if size != right:
                raise DatasetError(
                    f"The shard {path} must have {right:,} bytes. Received: {size:,} bytes. "
                    f"{COPY_OR_BUILD}"
                )


def _opened(data_path: pathlib.Path) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder_from_directory(str(data_path))
        dict(builder.info.metadata or {})  # TFDS reads it lazily
        return builder
    except Exception as error:  # TFDS and protobuf raise many kinds for a damaged file
        raise DatasetError(
            f"TFDS must be able to read the data set in {data_path}. Received, from "
            "dataset_info.json, features.json, metadata.json or the labels: "
            f"{type(error).__name__}: {str(error).partition(chr(10))[0]}. {COPY_OR_BUILD}"
        ) from error


def data_root(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The absolute path of TFDS's data folder, with links resolved.

    Args:
      data_dir: the folder; None: TFDS's default ($TFDS_DATA_DIR, else `~/tensorflow_datasets`).

    Raises:
      PathError: if it is on a storage that TensorFlow does not reach.
    """
    named = "--data_dir" if data_dir else "TFDS_DATA_DIR"
    return path_of(storage_path(data_dir or tfds.core.constants.DATA_DIR, named)).resolve()


def newest_version(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder of the newest built version of the data set in `data_dir`.

    Args:
      data_dir: TFDS's data folder, as in `data_root`.

    Raises:
      DatasetError: if it has not been built there.
    """
    root = data_root(data_dir)
    versions = tfds.core.utils.version.list_all_versions(os.fspath(root / NAME))
    # An interrupted build leaves a folder without this file.
    built = [v for v in versions if (root / NAME / str(v) / "dataset_info.json").exists()]
    if not built:
        given = "" if data_dir is None else f" --data_dir={data_dir}"
        raise DatasetError(
            f"The data set must be built first. {root / NAME} holds no finished version. Build it "
            f"with `{BUILD}{given}`, where DIR holds train.bson, test.bson and "
            "category_names.csv, or give the folder where it is with --data_dir."
        )
    return root / NAME / str(max(built))
