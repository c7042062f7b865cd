"""The inputs of a training stage: pictures, or the cached features of a frozen base."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from cdisc_tfds.storage import path_of
from trainer.cluster.workers import ALONE, Workers
from trainer.data.decoding import Batches
from trainer.data.input_pipeline import FinishInStep, train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.models.networks import split_at_features
from trainer.prediction.validation import Validation, Validator
from trainer.settings.config import Config
from trainer.training.devices import accelerators, share_of_batches
from trainer.training.epoch_splits import EpochSplits
from trainer.training.execution import Prepare
from trainer.training.feature_files import Features
from trainer.training.feature_pipeline import inference_features, train_features
from trainer.training.feature_store import FeatureStore


class PictureFeed:
    """Trains and validates the whole network on pictures.

    Attributes:
      model: the network to train.
      prepare_batch: what the device does with a batch before the network reads it. On a GPU it
        makes the random changes, which would keep the processor from decoding.
    """

    def __init__(
        self,
        model: keras.Model,
        splits: EpochSplits,
        label_map: LabelMap,
        config: Config,
        workers: Workers = ALONE,
    ):
        self.model, self._workers = model, workers
        self._splits, self._label_map, self._config = splits, label_map, config
        self._device = _finishing_device(config)
        self.prepare_batch: Prepare | None = None
        if self._device is not None:
            self.prepare_batch = FinishInStep(config.augmentation, config.decoder)

    @functools.cached_property
    def _validator(self) -> Validator:
        """Built lazily: tracing would delay the first step."""
        return Validator(self.model, self._label_map, self._config, self._workers)

    def graph(self) -> tf.types.experimental.ConcreteFunction:
        """The network's operations for prediction."""
        return self._validator.function

    def prepare(self, epoch: int, between_batches: Callable[[], None]) -> None:
        """Prepares an epoch; the epoch's time does not include this."""

    def train_batches(self, epoch: int, skip_steps: int = 0, *, ready: bool = False) -> Batches:
        """The batches of an epoch.

        Args:
          epoch: counted from 0.
          skip_steps: number of batches to leave out at the start.
          ready: whether the network reads the batches without `prepare_batch`.
        """
        config = self._config
        return train_dataset(
            self._splits.pair(epoch)[0],
            batch_size=config.batch_size,
            image_size=config.picture_size(epoch),
            seed=config.seed,
            epoch=epoch,
            skip_steps=skip_steps,
            augment=config.augmentation,
            shuffle_buffer=config.shuffle_buffer,
            decoder=config.decoder,
            selection=self._splits.selection(epoch),
            device=None if ready else self._device,
            lanes=config.lanes,
            worker=self._workers.this,
        )

    def validate(self, epoch: int, between_batches: Callable[[], None]) -> Validation:
        """Validates after an epoch; see `Validator.validate`."""
        return self._validator.validate(
            self._splits.pair(epoch)[1], label="validating", between_batches=between_batches
        )


def _finishing_device(config: Config) -> str | None:
    """The GPU that finishes the batches; None: the pipeline does.

    Several GPUs share a batch, but DALI's stays on the one that decodes it, and the partners of
    lanes are places within the whole batch.
    """
    gpus = accelerators()
    if len(gpus) > 1 and config.lanes > 1 and config.augmentation.mixes:
        return None
    return gpus[0] if len(gpus) == 1 or (gpus and config.decoder == "tf") else None


class FeatureFeed:
    """Trains and validates the layers after a frozen base, on the base's features.

    Pictures are not augmented: their features are computed once.

    Attributes:
      model: the network to train, which shares its layers with the given network.
      prepare_batch: as of `PictureFeed`; nothing.
    """

    prepare_batch: Prepare | None = None

    def __init__(
        self,
        model: keras.Model,
        splits: EpochSplits,
        label_map: LabelMap,
        config: Config,
        folder: str | os.PathLike[str],
        workers: Workers = ALONE,
    ):
        self._base, self.model = split_at_features(model)
        self._workers = workers
        self._splits, self._label_map, self._config = splits, label_map, config
        self._folder = path_of(folder)
        self._store: FeatureStore | None = None
        self._validator = Validator(self.model, label_map, config)

    def graph(self) -> tf.types.experimental.ConcreteFunction:
        """Like `PictureFeed.graph`, for the layers after the base."""
        return self._validator.function

    def prepare(self, epoch: int, between_batches: Callable[[], None]) -> None:
        """Computes the features of the epoch's pictures, unless they are cached."""
        if self._store is None:  # not earlier: now the base has its weights
            self._store = FeatureStore(
                self._base, self._config, self._folder, workers=self._workers
            )
        for split in self._splits.pair(epoch):
            self._store.of(split, between_batches)

    def train_batches(self, epoch: int, skip_steps: int = 0, *, ready: bool = True) -> Batches:
        """Like `PictureFeed.train_batches`; call `prepare` first."""
        split = self._splits.pair(epoch)[0]
        batches = train_features(
            self._features(split),
            split,
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            epoch=epoch,
            skip_steps=skip_steps,
        )
        return share_of_batches(batches, self._workers.this)

    def validate(self, epoch: int, between_batches: Callable[[], None]) -> Validation:
        """Like `PictureFeed.validate`; call `prepare` first."""
        split = self._splits.pair(epoch)[1]
        batch_size = self._config.eval_batch_size
        return self._validator.validate(
            split,
            label="validating",
            between_batches=between_batches,
            dataset=inference_features(self._features(split), batch_size),
        )

    def _features(self, split: LabelledSplit) -> Features:
        assert self._store is not None, "call `prepare` first"
        return self._store.of(split)
