"""The prediction for a product without a readable picture."""

from __future__ import annotations

import numpy as np
from absl import logging

from cdisc_tfds.built_dataset import DatasetError
from trainer.data.dataset import CdiscountData, Split
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.settings.config import Config


def training_split(data: CdiscountData, config: Config) -> Split | None:
    """The products that a run was trained on; None, with a warning, if they are not in `data`."""
    try:
        return data.split(config.train_split)
    except DatasetError as error:
        logging.warning("The products that the run learnt from are not in the data set: %s", error)
        return None


def training_splits(data: CdiscountData, config: Config) -> tuple[Split, ...] | None:
    """All products that a run learnt from; None, with a warning, if some are not in `data`.

    A fused run has learnt from those of its members as well.
    """
    try:
        return tuple(data.split(spec) for spec in config.train_splits)
    except DatasetError as error:
        logging.warning("The products that the run learnt from are not in the data set: %s", error)
        return None


def training_prior(training: Split, label_map: LabelMap) -> np.ndarray:
    """float32 [classes]: each class's share of the products of a training split."""
    labelled = LabelledSplit(training, label_map)
    counts = np.bincount(labelled.classes[labelled.products], minlength=label_map.num_classes)
    if not counts.any():
        counts = counts + 1
    return (counts / counts.sum()).astype(np.float32)


def prior_of_run(data: CdiscountData, config: Config, label_map: LabelMap) -> np.ndarray | None:
    """The `training_prior` of a run's training split; None if `data` does not hold the split."""
    training = training_split(data, config)
    return None if training is None else training_prior(training, label_map)
