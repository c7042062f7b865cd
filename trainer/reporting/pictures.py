"""Pictures for a report: those of a few products, as they lie in the data set."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from trainer.data.dataset import CdiscountData, DatasetError, Split, open_dataset
from trainer.data.label_map import LabelMapError
from trainer.reporting.reported_runs import ReportedRun


class DataSets:
    """The data sets that runs were trained on, as far as they are at hand.

    Args:
      data_dir: where the data set of all runs is; None: where each run found its own.

    Raises:
      DatasetError: if there is none in `data_dir`.
    """

    def __init__(self, data_dir: str | os.PathLike[str] | None = None):
        self._given = None if data_dir is None else open_dataset(data_dir)
        self._opened: dict[str | None, CdiscountData | DatasetError] = {}

    def of(self, run: ReportedRun) -> CdiscountData:
        """Raises DatasetError or LabelMapError if the run's data set is gone, or is another now."""
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
        """Why these splits of the run's data set cannot be used; empty if they can."""
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
        """The JPEGs of some products, as of `pictures_of`."""
        return pictures_of(self.of(run).split(split), product_ids)


def pictures_of(split: Split, product_ids: Iterable[int]) -> dict[int, list[bytes]]:
    """The JPEGs of some products, undecoded.

    Reads only the shard files that hold one of them, each up to its last one.

    Args:
      split: where to look.
      product_ids: products; those that the split does not hold are left out.

    Returns:
      product id -> its JPEGs.
    """
    wanted = np.flatnonzero(np.isin(split.index.product_id, list(product_ids)))
    found, start = {}, 0
    for part in split.files:
        inside = wanted[(wanted >= start) & (wanted < start + part.take)]
        for record in _records(part.path, inside - start + part.skip):
            features = tf.train.Example.FromString(record).features.feature
            product_id = features["product_id"].int64_list.value[0]
            found[product_id] = list(features["images"].bytes_list.value)
        start += part.take
    return found


def _records(path: str, places: np.ndarray) -> Iterable[bytes]:
    """The records at `places` (int64) of a file."""
    if not len(places):
        return ()
    records = tf.data.TFRecordDataset(path).enumerate()
    wanted = records.filter(lambda place, _: tf.reduce_any(place == places)).take(len(places))
    return (record for _, record in wanted.as_numpy_iterator())
