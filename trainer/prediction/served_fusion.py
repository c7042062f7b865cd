"""A fused run in a SavedModel: products in, each as its JPEG files."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from trainer.data.label_map import LabelMap
from trainer.prediction.fused_source import FusedNetwork
from trainer.prediction.saved_model import decoded


@dataclasses.dataclass(frozen=True)
class ServedFusion:
    """The networks of a fused run, as `Served`.

    The SavedModel takes a matrix of JPEG strings [b, p]: a row for each product, with empty strings
    where it has fewer than p pictures. A product without any gets the prior.

    Attributes:
      network: the networks.
    """

    network: FusedNetwork

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""
        return self.network.predictor.label_map

    @property
    def models(self) -> tuple[keras.Model, ...]:
        """The networks to export."""
        return (self.network.predictor.model, *(one.base for one in self.network.members))

    @property
    def signature(self) -> tf.TensorSpec:
        """What the SavedModel takes."""
        return tf.TensorSpec([None, None], tf.string, name="jpegs")

    def forward(self, jpegs: tf.Tensor) -> tf.Tensor:
        """string [b, p] -> float32 [b, classes], as TensorFlow operations."""
        predictor = self.network.predictor
        with tf.device("/cpu:0"):
            mask = tf.strings.length(jpegs) > 0
            own = tf.boolean_mask(jpegs, mask)
            pictures = [decoded(own, size) for size in self.network.image_sizes]
        rows = self.network.features(pictures)
        shape = tf.concat([tf.shape(jpegs), [predictor.size]], axis=0)
        features = tf.scatter_nd(tf.where(mask), rows, tf.cast(shape, tf.int64))
        known = tf.reduce_any(mask, axis=1)
        # Without a picture, a mean over none would be NaN; the prior replaces the result.
        first = tf.one_hot(0, tf.shape(mask)[1], True, False, dtype=tf.bool)
        probabilities = predictor.forward(features, mask | (first & ~known[:, None]))
        return tf.where(known[:, None], probabilities, predictor.prior)
