"""The splits that each epoch trains and validates on."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from trainer.data.dataset import CdiscountData, require_disjoint
from trainer.data.input_pipeline import derived_seed
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.picture_selection import PictureSelection, distinct_pictures, select_pictures
from trainer.runs.state import DataIdentity
from trainer.settings.config import Config, ConfigError


class EpochSplits:
    """Training and validation splits of each epoch, with their exact counts.

    Raises:
      DatasetError: if there is no such split, or two share products.
      ConfigError: if there are no pictures to train on.
    """

    def __init__(self, config: Config, data: CdiscountData, label_map: LabelMap):
        self._config, self._num_classes = config, label_map.num_classes
        # Reading them takes a while, so each pair's are kept.
        self._distinct: dict[int, np.ndarray] = {}
        self._num_examples: dict[int, int] = {}
        specs = config.chunks or ((config.train_split, config.validation_split),)
        self._pairs = [
            (
                LabelledSplit(data.split(train), label_map),
                LabelledSplit(data.split(validation), label_map),
            )
            for train, validation in specs
        ]
        for train, validation in self._pairs:
            require_disjoint(train.split, validation.split)
            if train.num_pictures == 0:
                raise ConfigError(
                    "Training needs pictures with labels of this run's classes. The split "
                    f"{train.split.spec!r} has none. Choose another --train_split."
                )

    def pair(self, epoch: int) -> tuple[LabelledSplit, LabelledSplit]:
        """The products to train on and those to validate on."""
        return self._pairs[epoch % len(self._pairs)]

    @property
    def selects(self) -> bool:
        """Whether some epochs do not show every picture once."""
        return bool(self._config.sampling_balance or self._config.distinct_epochs)

    def selection(self, epoch: int) -> PictureSelection | None:
        """How often the epoch shows each picture; None: once."""
        config, train = self._config, self.pair(epoch)[0]
        distinct = epoch < config.distinct_epochs
        if not distinct and not config.sampling_balance:
            return None
        return select_pictures(
            train,
            self._distinct_pictures(epoch % len(self._pairs)) if distinct else None,
            config.sampling_balance,
            derived_seed(config.seed, epoch, "selection"),
        )

    @property
    def unit(self) -> str:
        """What training counts: `pictures`, or `products` for a fused run."""
        return "pictures" if self._config.fusion is None else "products"

    def examples(self, epoch: int) -> int:
        """Number of pictures to train on, repetitions included; of products for a fused run."""
        if epoch not in self._num_examples:
            selection = self.selection(epoch)
            train = self.pair(epoch)[0]
            if self._config.fusion is not None:
                number = int((train.split.index.num_pictures[train.products] > 0).sum())
            else:
                number = train.num_pictures if selection is None else selection.num_pictures
            self._num_examples[epoch] = number
        return self._num_examples[epoch]

    def steps(self, epoch: int) -> int:
        """Number of batches to train on; the last one may be smaller."""
        return math.ceil(self.examples(epoch) / self._config.batch_size)

    def _distinct_pictures(self, pair: int) -> np.ndarray:
        if pair not in self._distinct:
            self._distinct[pair] = distinct_pictures(self._pairs[pair][0])
        return self._distinct[pair]

    def pictures_of_class(self) -> np.ndarray:
        """Number of pictures of each class in all training splits: int64 [classes]."""
        counts = np.zeros(self._num_classes, np.int64)
        for train, _ in self._pairs:
            products = train.products
            np.add.at(counts, train.classes[products], train.split.index.num_pictures[products])
        return counts

    def identity(self) -> DataIdentity:
        """Digests of the indexes of all training and of all validation splits."""
        trains, validations = zip(*self._pairs, strict=True)
        return DataIdentity(_digest(trains), _digest(validations))


def _digest(splits: tuple[LabelledSplit, ...]) -> str:
    digest = hashlib.sha256()
    for labelled in splits:
        digest.update(labelled.split.index.digest.encode())
    return digest.hexdigest()
