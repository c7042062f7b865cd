"""The inputs of a fused run: the cached features of its members, product by product."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.cluster.workers import ALONE, Workers
from trainer.data.decoding import Batches
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.fused_predictor import FusedPredictor
from trainer.prediction.member_bases import load_members
from trainer.prediction.validation import Validation, validate_products
from trainer.runs.folder import RunFolder
from trainer.settings.config import Config
from trainer.training.devices import share_of_batches
from trainer.training.epoch_splits import EpochSplits
from trainer.training.execution import Prepare
from trainer.training.feature_store import FeatureStore
from trainer.training.product_features import ProductFeatures
from trainer.training.product_pipeline import stored_pictures, train_products


class FusionFeed:
    """Trains and validates the network over all pictures of a product.

    Args:
      model: the network to train.
      splits: the products.
      label_map: the run's classes.
      config: the run's resolved settings.
      run: its folder, to which the members' places are relative.
      folder: where the features of pictures are kept.
      workers: those that share the computation of features, and each batch.

    Attributes:
      prepare_batch: as of `PictureFeed`; nothing.
    """

    prepare_batch: Prepare | None = None

    def __init__(
        self,
        model: keras.Model,
        splits: EpochSplits,
        label_map: LabelMap,
        config: Config,
        run: RunFolder,
        folder: pathlib.Path,
        workers: Workers = ALONE,
    ):
        self.model, self._workers = model, workers
        self._splits, self._label_map, self._config = splits, label_map, config
        self._run, self._folder = run, folder
        self._found: dict[str, ProductFeatures] = {}

    @functools.cached_property
    def _predictor(self) -> FusedPredictor:
        """Built lazily: tracing would delay the first step."""
        return FusedPredictor(self.model, self._label_map)

    @functools.cached_property
    def _stores(self) -> tuple[FeatureStore, ...]:
        """Loads the members' networks, which takes seconds."""
        config, fusion = self._config, self._config.fusion
        assert fusion is not None
        return tuple(
            FeatureStore(
                member.base,
                dataclasses.replace(member.config, decoder=config.decoder, lanes=config.lanes),
                self._folder,
                fusion.flip,
                self._workers,
            )
            for member in load_members(self._run)
        )

    def graph(self) -> tf.types.experimental.ConcreteFunction:
        """Like `PictureFeed.graph`."""
        return self._predictor.function

    def prepare(self, epoch: int, between_batches: Callable[[], None]) -> None:
        """Computes the features of the epoch's pictures, unless they are cached.

        Raises:
          MemberError: if a run that this one is made of is gone or changed.
        """
        for split in self._splits.pair(epoch):
            self._features(split, between_batches)

    def train_batches(self, epoch: int, skip_steps: int = 0, *, ready: bool = True) -> Batches:
        """Batches of products, as `train_products` gives them; call `prepare` first."""
        config, split = self._config, self._splits.pair(epoch)[0]
        assert config.fusion is not None
        batches = train_products(
            self._features(split),
            split,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=epoch,
            picture_dropout=config.fusion.picture_dropout,
            skip_steps=skip_steps,
        )
        return share_of_batches(batches, self._workers.this)

    def validate(self, epoch: int, between_batches: Callable[[], None]) -> Validation:
        """Validates by product after an epoch; call `prepare` first."""
        split, size = self._splits.pair(epoch)[1], self._config.eval_batch_size
        pictures = stored_pictures(self._features(split), size)
        batches = self._predictor.products(pictures, split.products, size)
        return validate_products(split, batches, between_batches)

    def _features(
        self, split: LabelledSplit, between_batches: Callable[[], None] = lambda: None
    ) -> ProductFeatures:
        spec = split.split.spec
        if spec not in self._found:
            self._found[spec] = ProductFeatures(
                [store.of(split, between_batches) for store in self._stores]
            )
        return self._found[spec]
