"""The splits that each epoch trains and validates on."""

from __future__ import annotations

import hashlib

from trainer.data.dataset import CdiscountData, require_disjoint
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.runs.state import DataIdentity
from trainer.settings.config import Config, ConfigError


class EpochSplits:
    """Training and validation splits of each epoch, with their exact counts.

    Raises:
      DatasetError: if there is no such split, or two share products.
      ConfigError: if there are no pictures to train on.
    """

    def __init__(self, config: Config, data: CdiscountData, label_map: LabelMap):
        self._batch_size = config.batch_size
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

    def pictures(self, epoch: int) -> int:
        """Number of pictures to train on."""
        return self.pair(epoch)[0].num_pictures

    def steps(self, epoch: int) -> int:
        """Number of batches to train on; the last one may be smaller."""
        return self.pair(epoch)[0].steps(self._batch_size)

    def identity(self) -> DataIdentity:
        """Digests of the indexes of all training and of all validation splits."""
        trains, validations = zip(*self._pairs, strict=True)
        return DataIdentity(_digest(trains), _digest(validations))


def _digest(splits: tuple[LabelledSplit, ...]) -> str:
    digest = hashlib.sha256()
    for labelled in splits:
        digest.update(labelled.split.index.digest.encode())
    return digest.hexdigest()
