"""The splits that each epoch trains and validates on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import CdiscountData, Split, require_disjoint
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.picture_selection import PictureSelection, distinct_pictures, select_pictures
from trainer.data.shuffle import derived_seed
from trainer.runs.state import DataIdentity
from trainer.settings.config import Config, ConfigError
from trainer.training.pseudo_labels import PseudoLabels


class EpochSplits:
    """Training and validation splits of each epoch, with their exact counts.

    Raises:
      DatasetError: if there is no such split, or two share products.
      ConfigError: if there are no pictures to train on, or no place for pseudo labels.
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

        self.pseudo_labels = self._made_pseudo_labels(data)

    def _made_pseudo_labels(self, data: CdiscountData) -> PseudoLabels | None:
        config = self._config
        if config.pseudo_label_split is None:
            return None
        if len(self._pairs) > 1 or config.within_level1 is not None:
            raise ConfigError(
                "--pseudo_label_split is for runs that train on the same products, of all classes, "
                "in every epoch. Received: a run in chunks, or within one category of level 1. "
                "Leave it out."
            )
        return PseudoLabels(config, data, *self._pairs[0])

    def pair(self, epoch: int) -> tuple[LabelledSplit, LabelledSplit]:
        """The products to train on and those to validate on."""
        train, validation = self._pairs[epoch % len(self._pairs)]
        labels = self.pseudo_labels_of(epoch)
        return (train if labels is None else labels.joined()), validation

    def pseudo_labels_of(self, epoch: int) -> PseudoLabels | None:
        """The labels that the run gives products, if the epoch also trains on those."""
        after = self._config.pseudo_label_after
        return self.pseudo_labels if after is not None and epoch >= after else None

    @property
    def selects(self) -> bool:
        """Whether some epochs do not show every picture once."""
        config = self._config
        return bool(config.sampling_balance or config.distinct_epochs or config.pseudo_label_split)

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
        if self.pseudo_labels_of(epoch) is not None:  # each epoch has its own
            return self._counted(epoch)
        if epoch not in self._num_examples:
            self._num_examples[epoch] = self._counted(epoch)
        return self._num_examples[epoch]

    def _counted(self, epoch: int) -> int:
        train, selection = self.pair(epoch)[0], self.selection(epoch)
        if self._config.fusion is not None:
            return int((train.split.index.num_pictures[train.products] > 0).sum())
        return train.num_pictures if selection is None else selection.num_pictures

    def steps(self, epoch: int) -> int:
        """Number of batches to train on; the last one may be smaller."""
        return math.ceil(self.examples(epoch) / self._config.batch_size)

    def planned_steps(self, epoch: int) -> int:
        """The most batches to train on, which is known before products get pseudo labels."""
        labels = self.pseudo_labels_of(epoch)
        if labels is None:
            return self.steps(epoch)
        pictures = self._pairs[0][0].num_pictures + labels.most_pictures
        return math.ceil(pictures / self._config.batch_size)

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
        others = () if self.pseudo_labels is None else (self.pseudo_labels.split,)
        return DataIdentity(
            _digest([*(one.split for one in trains), *others]),
            _digest([one.split for one in validations]),
        )


def _digest(splits: Sequence[Split]) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.index.digest.encode())
    return digest.hexdigest()
