r"""The network over all pictures of a product: the features of each in, one prediction out.

    features of a picture -> normalised -> dense layer, ReLU -> joined over the pictures
                                 \-> mean over the pictures --------/
    both -> dropout -> logits

The mean of the features alone would be a linear read-out. The join adds what it cannot say: that
one picture tells more than the others, or that two show different things.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from trainer.models.fusion_table import FUSION, HEADS, JOINS
from trainer.models.networks import ModelError

# Stands in for the score of a picture that is not there; finite, so that nothing becomes NaN.
_NO_PICTURE = -1e9
# Of the features' moving statistics. The features do not change, so a short memory is enough, and
# training may have only some hundred steps.
_MOMENTUM = 0.9


def build_fusion(
    size: int,
    num_classes: int,
    *,
    units: int,
    join: str,
    dropout: float,
    seed: int = 0,
) -> keras.Model:
    """Builds the network in float32.

    Args:
      size: f, the number of features of a picture, from all bases together.
      num_classes: number of outputs.
      units: units of the dense layer; a multiple of HEADS for `gated`.
      join: `max`, or `gated`: the mean weighted by a softmax over the product's pictures of a
        learnt score. Each of HEADS shares of the units has its own score.
      dropout: dropout rate of what is joined.
      seed: seed of the initial weights and of dropout. Also sets Keras's global seed, so that two
        builds are equal.

    Returns:
      {"features": float [b, p, f], "mask": bool [b, p]} -> float32 logits [b, classes].
      `mask` is true where there is a picture. A product has at least one, and its result does not
      depend on the features where there is none, nor on p.

    Raises:
      ModelError: if there is no such join, or the units cannot be shared.
    """
    if join not in JOINS:
        raise ModelError(f"`join` must be one of {', '.join(JOINS)}. Received: {join!r}.")
    if join == "gated" and units % HEADS:
        raise ModelError(
            f"The units of a gated join must be a multiple of {HEADS}, one share for each score. "
            f"Received: {units}."
        )
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        features = keras.Input((None, size), dtype="float32", name="features")
        mask = keras.Input((None,), dtype="bool", name="mask")
        there = ops.expand_dims(ops.cast(mask, "float32"), -1)  # [b, p, 1]
        # By feature, so that bases of any scale meet; a norm over a picture's features would lose
        # what they have in common, such as its brightness.
        x = layers.BatchNormalization(
            momentum=_MOMENTUM, center=False, scale=False, name="normalised"
        )(features, mask=mask)
        hidden = layers.Dense(units, activation="relu", name="pictures")(x)
        joined = _JOINED[join](hidden, there)
        both = layers.Concatenate(name="joined")([joined, _mean(x, there)])
        both = layers.Dropout(dropout, name="dropout")(both)
        logits = layers.Dense(num_classes, name="classes")(both)
        logits = layers.Activation("linear", dtype="float32", name="logits")(logits)
    finally:
        keras.config.set_dtype_policy(before)
    return keras.Model({"features": features, "mask": mask}, logits, name=FUSION)


def features_of(base: keras.Model, images: keras.KerasTensor, flip: bool) -> keras.KerasTensor:
    """The features that a base gives pictures, as the network takes them.

    Args:
      base: uint8 [b, s, s, 3] -> features [b, f].
      images: uint8 [b, s, s, 3].
      flip: whether they are the means of those of the picture and of its mirror image.

    Returns:
      [b, f], in the base's dtype.
    """
    features = base(images, training=False)
    if flip:
        features = (features + base(ops.flip(images, axis=2), training=False)) / 2
    return features


def _mean(x: keras.KerasTensor, there: keras.KerasTensor) -> keras.KerasTensor:
    """[b, p, u] -> [b, u], over the pictures that are there."""
    return ops.sum(x * there, axis=1) / ops.sum(there, axis=1)


def _gated(hidden: keras.KerasTensor, there: keras.KerasTensor) -> keras.KerasTensor:
    scores = layers.Dense(HEADS, name="scores")(hidden)
    # Not a sum: Keras 3's `add` takes [1, HEADS, 1] for a bias of the last axis.
    scores = ops.where(there > 0, scores, _NO_PICTURE)
    weights = ops.softmax(scores, axis=1)  # [b, p, HEADS]
    each = ops.repeat(weights, hidden.shape[-1] // HEADS, axis=-1)
    return ops.sum(hidden * each, axis=1)


def _largest(hidden: keras.KerasTensor, there: keras.KerasTensor) -> keras.KerasTensor:
    return ops.max(hidden * there, axis=1)  # no unit is negative after the ReLU


_JOINED = {"gated": _gated, "max": _largest}
