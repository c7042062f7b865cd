"""BatchNorm in TensorFlow's fused operation, which trains networks up to twice as fast.

Keras computes the batch's mean and variance, and normalizes, in about ten operations, each of which
reads the whole feature map. The fused operation, and its gradient, read it two or three times, on
processors and on GPUs.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from trainer.models.batch_norms import batch_norms

# TensorFlow refuses a smaller one, since cuDNN does (CUDNN_BN_MIN_EPSILON).
_MIN_EPSILON = 1.001e-5


class BatchNormalization(keras.layers.BatchNormalization):
    """keras.layers.BatchNormalization, with the same weights, settings and results up to rounding.

    The class keeps Keras's name, which files of weights name their parts after. Inputs that the
    fused operation does not take, and inference, go through Keras's own.
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """As Keras's; [b, h, w, c] in training goes through the fused operation."""
        if not (training and self.trainable and mask is None and self._fits(inputs)):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels]),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels]),
            epsilon=self.epsilon,
            is_training=True,
        )
        self._update(self.moving_mean, mean)
        # The operation returns the variance of n values divided by n - 1; Keras divides by n.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        self._update(self.moving_variance, variance * ((count - 1) / count))
        return tf.cast(outputs, self.compute_dtype)

    def _fits(self, inputs: tf.Tensor) -> bool:
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and not self.renorm
            and not self.synchronized
            and self.epsilon >= _MIN_EPSILON
        )

    def _update(self, moving: keras.Variable, value: tf.Tensor) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


def fuse_batch_norms(network: keras.Model) -> keras.Model:
    """Makes Keras's BatchNorms in a network fused ones; returns the network."""
    for layer in batch_norms(network):
        if type(layer) is keras.layers.BatchNormalization:
            # Only `call` differs. keras.models.clone_model would build the network a second time,
            # a second for InceptionV3 at each start, and draw other initial weights.
            layer.__class__ = BatchNormalization
    return network
