"""The most probable classes, ranked as in the SavedModel."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def top_classes(probabilities: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most probable classes of each row; of equals, the first.

    Args:
      probabilities: float32 [n, classes].
      top: k, capped at the number of classes.

    Returns:
      (probabilities float32 [n, k], most probable first; classes int32 [n, k]).
    """
    with tf.device("/cpu:0"):
        values, classes = tf.math.top_k(probabilities, min(top, probabilities.shape[1]))
    return values.numpy(), classes.numpy()
