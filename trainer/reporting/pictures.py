"""Reads the pictures of a few products from the data sets of the runs, for the examples."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from cdisc_tfds.built_dataset import DatasetError
from trainer.data.dataset import CdiscountData, Split, open_dataset
from trainer.data.label_map import LabelMapError
from trainer.data.stored_products import StoredProducts
from trainer.reporting.reported_runs import ReportedRun


class DataSets:
    """The data sets of the runs, opened when first needed.

    Args:
      data_dir: the directory of the data set for all runs; None: each run's own `data_dir`.

    Raises:
      DatasetError: if `data_dir` contains no data set.
    """

    def __init__(self, data_dir: str | os.PathLike[str] | None = None):
        self._given = None if data_dir is None else open_dataset(data_dir)
        self._opened: dict[str | None, CdiscountData | DatasetError] = {}

    def of(self, run: ReportedRun) -> CdiscountData:
        """The run's data set.

        Raises:
          DatasetError: if it is gone.
          LabelMapError: if it has other categories than the run.
        """
        data = self._given or self._open(run.config.data_dir)
        if isinstance(data, DatasetError):
            raise data
        run.folder.require_categories(data.categories)
        return data

    def _open(self, data_dir: str | None) -> CdiscountData | DatasetError:
        if data_dir not in self._opened:
            try:
                self._opened[data_dir] = open_dataset(data_dir)
            except DatasetError as error:
                self._opened[data_dir] = error
        return self._opened[data_dir]

    def why_not(self, run: ReportedRun, *splits: str) -> str:
        """Why these splits of the run's data set are unusable; empty if they are usable."""
        try:
            data = self.of(run)
            for split in splits:
                data.num_products(split)
        except (DatasetError, LabelMapError) as error:
            return str(error)
        return ""

    def pictures(
        self, run: ReportedRun, split: str, product_ids: Iterable[int]
    ) -> dict[int, list[bytes]]:
        """The JPEGs of some products of a split of the run's data set; see `pictures_of`."""
        return pictures_of(self.of(run).split(split), product_ids)


def pictures_of(split: Split, product_ids: Iterable[int]) -> dict[int, list[bytes]]:
    """The JPEGs of some products, undecoded.

    Reads only the shard files that contain one of them, and skips their other records.

    Args:
      split: the split to read.
      product_ids: their `_id`s; ids that are not in the split are skipped.

    Returns:
      product id -> its JPEGs, in their order in the product.

    Raises:
      DatasetError: if a record is damaged, or is of another product than the index says.
    """
    stored = StoredProducts(split)
    wanted = np.flatnonzero(np.isin(split.index.product_id, list(product_ids)))
    return {product.product_id: product.images for product in map(stored.product, wanted.tolist())}
