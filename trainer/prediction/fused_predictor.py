"""Predicts products from the features of all their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch, groups_of, whole_products
from trainer.prediction.joining_rules import Groups
from trainer.prediction.predictor import PredictionError, prior_batches
from trainer.runs.run_weights import RunWeights

# (product ordinal int64 [b], features float32 [b, views * f]) of b pictures
PictureFeatures = tuple[np.ndarray, np.ndarray]


def padded(
    rows: np.ndarray, groups: Groups, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of each product side by side, as `build_fusion` takes them.

    Args:
      rows: float32 [pictures, f].
      groups: the pictures of each product.
      most: p, at least the largest number of pictures of a product; default: that number.

    Returns:
      (features float32 [products, p, f], 0 where there is no picture; mask bool [products, p]).
    """
    places = np.arange(most or groups.counts.max(initial=1))
    mask = places < groups.counts[:, None]
    features = np.zeros([*mask.shape, rows.shape[1]], np.float32)
    features[mask] = rows[(groups.starts[:, None] + places)[mask]]
    return features, mask


class FusedPredictor:
    """A fused run's network as a function from features to the probabilities of its classes.

    Args:
      model: as `build_fusion` returns it. Its weights may change between calls; the function is
        traced only once.
      label_map: the meaning of the classes.
      views: number of views of each picture, whose features are side by side; the probabilities of
        the views are averaged.
      temperature: as in Predictor, but of the probabilities of products.
      prior: float32 [classes], the prediction for a product without a readable picture; default:
        uniform.
      weights: the run's weights that the network has; None if it is not from a run's folder.

    Attributes:
      function: the traced function, from features and mask to probabilities.
      size: number of features of a picture, in all views.
    """

    def __init__(
        self,
        model: keras.Model,
        label_map: LabelMap,
        *,
        views: int = 1,
        temperature: float = 1.0,
        prior: np.ndarray | None = None,
        weights: RunWeights | None = None,
    ):
        classes = label_map.num_classes
        self.model, self.label_map, self.weights = model, label_map, weights
        self.prior = np.full(classes, 1 / classes, np.float32) if prior is None else prior
        self._views, self._temperature = views, temperature
        self.size = views * model.input["features"].shape[-1]
        # Traced here, in the thread that built the network; other threads may call it.
        self.function = tf.function(self.forward).get_concrete_function(
            tf.TensorSpec([None, None, self.size], tf.float32),
            tf.TensorSpec([None, None], tf.bool),
        )

    def forward(self, features: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """float32 [b, p, views * f], bool [b, p] -> float32 [b, classes], in TensorFlow."""
        parts = [
            tf.nn.softmax(self.model({"features": view, "mask": mask}, training=False))
            for view in tf.split(features, self._views, axis=-1)
        ]
        probabilities = tf.add_n(parts) / self._views
        if self._temperature != 1:
            smallest = np.finfo(np.float32).tiny
            powers = tf.math.log(tf.maximum(probabilities, smallest)) / self._temperature
            probabilities = tf.nn.softmax(powers)
        return probabilities

    def probabilities(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The same in NumPy.

        Raises:
          PredictionError: if they are not finite.
        """
        probabilities = self.function(tf.constant(features), tf.constant(mask)).numpy()
        if not np.isfinite(probabilities).all():
            raise PredictionError(
                "Predictions must be finite numbers. This network gives NaN: its weights, or those "
                "of a run whose features it takes, have diverged. Use the best checkpoint "
                "(--checkpoint=best), or train again with a smaller --learning_rate."
            )
        return probabilities

    def products(
        self,
        pictures: Iterable[PictureFeatures],
        products: np.ndarray,
        batch_size: int,
        with_prior: bool = True,
    ) -> Iterator[ProductBatch]:
        """Predicts products from the features of their pictures.

        Args:
          pictures: the readable pictures of `products`, those of a product next to each other.
          products: int64, ascending ordinals.
          batch_size: pictures to predict at a time, about; and products with the prior.
          with_prior: whether to yield the products without a readable picture.

        Yields:
          Products in the split's order, then those that get the prior. The probabilities of a
          picture are those of a product that has it alone.

        Raises:
          AveragingError: as in `whole_products`.
          PredictionError: if a prediction is not finite.
        """
        unseen = np.ones(len(products), bool)
        for ordinals, rows in whole_products(pictures):
            for some in _parts(groups_of(ordinals), batch_size):
                own = slice(some.starts[0], some.starts[-1] + some.counts[-1])
                batch = self.batch(ordinals[own], rows[own])
                unseen[np.searchsorted(products, batch.ordinals)] = False
                yield batch
        if with_prior:
            yield from prior_batches(products[unseen], len(products), self.prior, batch_size)

    def batch(self, ordinals: np.ndarray, rows: np.ndarray) -> ProductBatch:
        """Predicts products in one go.

        Args:
          ordinals: int64 [pictures], ascending: the product of each picture.
          rows: float32 [pictures, views * f], their features.
        """
        groups = groups_of(ordinals)
        alone = self.probabilities(rows[:, None], np.ones([len(rows), 1], bool))
        several = groups.counts > 1
        joined = alone[groups.starts]
        if several.any():
            some = Groups(groups.starts[several], groups.counts[several])
            joined[several] = self.probabilities(*padded(rows, some))
        return ProductBatch(ordinals[groups.starts], joined, groups.counts, ordinals, alone)


def _parts(groups: Groups, pictures: int) -> Iterator[Groups]:
    """Whole products with together about so many pictures."""
    if not len(groups.starts):
        return
    part = groups.starts // max(1, pictures)
    for places in np.split(np.arange(len(part)), np.flatnonzero(np.diff(part)) + 1):
        yield Groups(groups.starts[places], groups.counts[places])
