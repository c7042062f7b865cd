"""Solution 1's two stages as one network: p(category) = p(level 1) * p(category | level 1)."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

# Stands in for log(0); finite, so that no sum or difference of logits becomes NaN.
_LOG_ZERO = -1e4


def join_networks(
    level1: keras.Model,
    specialists: Mapping[int, keras.Model],
    priors: Mapping[int, np.ndarray],
    level1_of_category: np.ndarray,
) -> keras.Model:
    """Builds one network from pictures to the log-probabilities of all categories.

    Every specialist sees every picture, so it costs as much as all networks together.

    Args:
      level1: uint8 [b, s, s, 3] -> logits [b, level-1 categories].
      specialists: level-1 label -> network with the same input and a logit for each category in the
        label, in label order.
      priors: level-1 label -> float [categories in the label], fixed probabilities, for each
        level-1 category without a specialist.
      level1_of_category: integers [categories].

    Returns:
      uint8 [b, s, s, 3] -> float32 [b, categories], log-probabilities, whose softmax is the product
      of both stages.

    Raises:
      ValueError: if a level-1 category has no second stage, two, or one of the wrong size.
    """
    pictures = keras.Input(level1.input_shape[1:], dtype="uint8", name="pictures")
    general = _log_softmax(_named(level1, "level1")(pictures))
    parts, members = [], []
    for label in range(level1.output_shape[-1]):
        inside = np.flatnonzero(level1_of_category == label)
        if (label in specialists) == (label in priors):
            raise ValueError(
                "Each level-1 category needs either a specialist or a prior. Label "
                f"{label} has {'both' if label in priors else 'neither'}."
            )
        if label in specialists:
            size = specialists[label].output_shape[-1]
            within = _log_softmax(_named(specialists[label], f"within_{label}")(pictures))
        else:
            size = len(priors[label])
            within = np.log(np.maximum(priors[label], np.exp(-80.0))).astype(np.float32)
        if size != len(inside):
            raise ValueError(
                "A specialist must have one output for each category within its level-1 category. "
                f"Label {label} has {len(inside)} categories, its second stage {size} outputs."
            )
        parts.append(general[:, label : label + 1] + within)
        members.append(inside)
    order = np.argsort(np.concatenate(members))
    joined = ops.take(ops.concatenate(parts, axis=1), order, axis=1)
    return keras.Model(pictures, joined, name="two_stage")


def _named(model: keras.Model, name: str) -> keras.Model:
    # The parts of a network need distinct names, but models of one architecture share a name.
    return keras.Model(model.input, model.output, name=name)


def _log_softmax(logits: keras.KerasTensor) -> keras.KerasTensor:
    logits = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    return ops.maximum(logits, _LOG_ZERO)
