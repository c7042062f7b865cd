"""What training minimises: the loss of a batch under its labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.models.losses import SparseCrossentropy


class Objective:
    """The mean loss of a batch's pictures.

    Args:
      label_smoothing: as in `SparseCrossentropy`.
      class_weights: float32 [classes], factor of the loss of each class's pictures; None: 1.
      levels: per additional output of the network, its weight and the label at its level of each
        class, integers [classes].
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | None = None,
        levels: Sequence[tuple[float, np.ndarray]] = (),
    ):
        self._loss = SparseCrossentropy(label_smoothing=label_smoothing)
        self._class_weights = (
            None if class_weights is None else tf.constant(class_weights, tf.float32)
        )
        self._levels = [(weight, tf.constant(labels, tf.int32)) for weight, labels in levels]

    def __call__(
        self, labels: tf.Tensor, outputs: Sequence[tf.Tensor], weights: tf.Tensor | None = None
    ) -> tf.Tensor:
        """This device's share of the loss: the batch's mean divided by the number of devices.

        Args:
          labels: int32 [b]; or [b, k] for pictures with k labels each.
          outputs: logits [b, classes], then the logits of each level.
          weights: float32, of the labels' shape; None: 1.
        """
        if labels.shape.rank == 2:
            assert weights is not None, "pictures with several labels need the labels' shares"
            parts = zip(tf.unstack(labels, axis=1), tf.unstack(weights, axis=1), strict=True)
            return tf.add_n([self._of_one_label(own, outputs, share) for own, share in parts])
        return self._of_one_label(labels, outputs, weights)

    def _of_one_label(
        self, labels: tf.Tensor, outputs: Sequence[tf.Tensor], weights: tf.Tensor | None
    ) -> tf.Tensor:
        if self._class_weights is not None:
            by_class = tf.gather(self._class_weights, labels)
            weights = by_class if weights is None else weights * by_class
        logits, *level_logits = outputs
        loss = self._loss(labels, logits, sample_weight=weights)
        for (factor, label_of_class), level in zip(self._levels, level_logits, strict=True):
            of_level = tf.gather(label_of_class, labels)
            loss += factor * self._loss(of_level, level, sample_weight=weights)
        return loss
