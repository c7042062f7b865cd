"""Runs in memory that give the features of products beside their predictions, in the same pass.

The features are those that `trainer.embed` writes of the same pictures.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from trainer.models.networks import with_features
from trainer.prediction.averaging import ProductBatch, groups_of, joined_batch
from trainer.prediction.loaded_runs import (
    LoadedFusion,
    LoadedNetwork,
    LoadedRuns,
    PicturesBySize,
)
from trainer.prediction.picture_features import FeatureBases
from trainer.prediction.predictor import finite, view_of
from trainer.prediction.product_embeddings import product_features
from trainer.prediction.views import Views
from trainer.runs.embedding_origin import EmbeddingFile, FeatureRun


class Featured(Protocol):
    """One run's networks in memory."""

    def predict(
        self, pictures: PicturesBySize, ordinals: np.ndarray
    ) -> tuple[ProductBatch, np.ndarray]:
        """As in FeaturedRuns."""


@dataclasses.dataclass(frozen=True)
class FeaturedNetwork:
    """A plain run.

    Attributes:
      run: the run.
      flip: whether features are the means of those of a picture and of its mirror image.
    """

    run: LoadedNetwork
    flip: bool

    @functools.cached_property
    def function(self) -> tf.types.experimental.ConcreteFunction:
        """uint8 [b, s, s, 3] -> (float32 [b, classes], float32 [b, f]).

        Each view that predictions or features need passes the network once.
        """
        predictor, own = self.run.predictor, Views(self.flip).all
        network = with_features(predictor.model)

        def both(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seen = {
                view: network(view_of(images, *view), training=False)
                for view in dict.fromkeys((*predictor.views, *own))
            }
            features = tf.add_n([seen[view][0] for view in own]) / len(own)
            logits = [seen[view][1] for view in predictor.views]
            return predictor.joined(logits), tf.cast(features, tf.float32)

        pictures = predictor.model.inputs[0]
        return tf.function(both).get_concrete_function(
            tf.TensorSpec(pictures.shape, pictures.dtype)
        )

    def predict(
        self, pictures: PicturesBySize, ordinals: np.ndarray
    ) -> tuple[ProductBatch, np.ndarray]:
        """As in FeaturedRuns."""
        images = tf.constant(pictures[self.run.predictor.image_size])
        probabilities, rows = (one.numpy() for one in self.function(images))
        batch = joined_batch(ordinals, finite(probabilities), self.run.mean)
        return batch, product_features(rows, groups_of(ordinals), [rows.shape[1]])


@dataclasses.dataclass(frozen=True)
class FeaturedFusion:
    """A fused run, whose features are those of its members.

    Attributes:
      run: the run.
      flip: as in FeaturedNetwork.
    """

    run: LoadedFusion
    flip: bool

    @functools.cached_property
    def function(self) -> tf.types.experimental.ConcreteFunction | None:
        """The features by themselves; None if they are among those that the predictions need."""
        network = self.run.network
        if self._place is not None:
            return None
        return FeatureBases(network.members, Views(), self.flip).function

    @property
    def _place(self) -> int | None:
        """The place of the view that the features are of, among those of the network."""
        network, views = self.run.network, self.run.network.views.all
        (own,) = Views().all
        return views.index(own) if network.flip == self.flip and own in views else None

    def predict(
        self, pictures: PicturesBySize, ordinals: np.ndarray
    ) -> tuple[ProductBatch, np.ndarray]:
        """As in FeaturedRuns."""
        network = self.run.network
        inputs = [tf.constant(pictures[size]) for size in self.run.image_sizes]
        rows = network.function(*inputs).numpy()
        batch = network.predictor.batch(ordinals, rows)
        sizes = [member.base.output_shape[-1] for member in network.members]
        if self.function is not None:
            own = self.function(*inputs).numpy()
        else:
            own = np.split(rows, len(network.views.all), axis=1)[self._place or 0]
        return batch, product_features(own, groups_of(ordinals), sizes)


@dataclasses.dataclass(frozen=True)
class FeaturedRuns:
    """One run, or several together, one of which gives the features.

    Attributes:
      runs: all of them.
      place: of the one with the features, among the members.
      featured: that one.
    """

    runs: LoadedRuns
    place: int
    featured: Featured

    def predict(
        self, pictures: PicturesBySize, ordinals: np.ndarray
    ) -> tuple[ProductBatch, np.ndarray]:
        """Predicts products in one go.

        Args:
          pictures, ordinals: as in `LoadedRuns.predict`.

        Returns:
          (as `LoadedRuns.predict`; the features of the products, float32 [n, f], of length 1).

        Raises:
          PredictionError: if a prediction is not finite.
        """
        own, features = self.featured.predict(pictures, ordinals)
        batches = [
            own if place == self.place else member.predict(pictures, ordinals)
            for place, member in enumerate(self.runs.members)
        ]
        return self.runs.joined(batches), features


def featured_runs(
    runs: LoadedRuns, file: EmbeddingFile, named: Sequence[FeatureRun]
) -> FeaturedRuns:
    """The runs with the features of a file's weights, traced in the thread that loaded them.

    Args:
      runs: the runs.
      file: the file.
      named: the same runs, as their user names them.

    Raises:
      EmbeddingFileError: if no run has the weights that the file was made from.
    """
    place = file.place_of_weights(named, [member.feature_weights for member in runs.members])
    member = runs.members[place]
    featured: FeaturedNetwork | FeaturedFusion
    if isinstance(member, LoadedFusion):
        featured = FeaturedFusion(member, file.origin.flip)
    else:
        assert isinstance(member, LoadedNetwork)
        featured = FeaturedNetwork(member, file.origin.flip)
    _ = featured.function
    return FeaturedRuns(runs, place, featured)
