"""Changes the colours of pictures; values are float32 [b, size, size, 3] from 0 to 255."""

from __future__ import annotations

import tensorflow as tf

# Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601), as in Pillow.
_GREY = (0.299, 0.587, 0.114)


def multiplied(values: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiplies brightness, contrast and saturation by `factors`, float32 [b, 3], in this order.

    A factor of 1 changes nothing. Contrast is the distance from the picture's mean grey, saturation
    that from the pixel's own grey.
    """
    brightness, contrast, saturation = (
        factor[:, None, None, None] for factor in tf.unstack(factors, axis=1)
    )
    values = _clipped(values * brightness)
    mean = tf.reduce_mean(_grey(values), axis=[1, 2], keepdims=True)
    values = _clipped(mean + (values - mean) * contrast)
    grey = _grey(values)
    return _clipped(grey + (values - grey) * saturation)


def posterized(values: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Rounds down to multiples of `step`, float32 [b]."""
    step = step[:, None, None, None]
    return tf.floor(values / step) * step


def solarized(values: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values above `threshold`, float32 [b]."""
    return tf.where(values > threshold[:, None, None, None], 255 - values, values)


def stretched(values: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the range from 0 to 255 (Pillow calls it autocontrast)."""
    low = tf.reduce_min(values, axis=[1, 2], keepdims=True)
    high = tf.reduce_max(values, axis=[1, 2], keepdims=True)
    stretch = (values - low) * (255 / tf.maximum(high - low, 1))
    return tf.where(high > low, stretch, values)


def _grey(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values * tf.constant(_GREY), axis=3, keepdims=True)


def _clipped(values: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(values, 0, 255)
