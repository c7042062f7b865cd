"""Mixes pairs of pictures and their labels: mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899).

A picture's partner is the one as far from the end of the batch as it is from its start; with lanes,
among its lane's pictures in the batch. Batches are shuffled already. A picture always keeps the
larger share, so that it has a main label; pairs are mixed both ways, so this changes nothing else.
"""

from __future__ import annotations

import tensorflow as tf


def draw_shares(key: tf.Tensor, count: tf.Tensor, mixup: float, cutmix: float) -> tf.Tensor:
    """Draws how much of each picture remains.

    Args:
      key: int64 [2], seed; also used plus [1, 0] and plus [2, 0].
      count: number of pictures.
      mixup, cutmix: alpha of Beta(alpha, alpha); 0: not used. With both, each picture gets one of
        the two with equal chances.

    Returns:
      float32 [count, 2]: (share of mixup, share of CutMix), 1 where it is not used.
    """
    one = tf.ones([count])
    by_mixup = _beta(key, count, mixup) if mixup else one
    by_cutmix = _beta(key + [1, 0], count, cutmix) if cutmix else one
    if mixup and cutmix:
        first = tf.random.stateless_uniform([count], key + [2, 0]) < 0.5
        by_mixup, by_cutmix = tf.where(first, by_mixup, 1.0), tf.where(first, 1.0, by_cutmix)
    return tf.stack([by_mixup, by_cutmix], axis=1)


def mixed(
    pictures: tf.Tensor,
    labels: tf.Tensor,
    shares: tf.Tensor,
    cuts: tf.Tensor,
    partners: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mixes each picture with its partner.

    Args:
      pictures: uint8 [b, size, size, 3].
      labels: int32 [b].
      shares: float32 [b, 2], of `draw_shares`.
      cuts: float32 [b, 2] in [0, 1), places of the rectangle that CutMix takes from the partner.
      partners: int32 [b], the partner of each picture; None: counted from the end of the batch.

    Returns:
      (pictures uint8, labels int32 [b, 2] of picture and partner, shares float32 [b, 2] that sum to
      1: those of the pixels, after rounding rectangles to whole pixels).
    """
    size = pictures.shape[1]
    by_mixup, by_cutmix = tf.unstack(shares, axis=1)
    side = tf.round(tf.sqrt(1 - by_cutmix) * size)
    top, left = (tf.floor(cut * (size + 1 - side)) for cut in tf.unstack(cuts, axis=1))
    inside = rectangle(size, top, left, side, side)
    own = tf.where(inside, 0.0, by_mixup[:, None, None, None])
    others, other_labels = (
        tf.reverse(some, [0]) if partners is None else tf.gather(some, partners)
        for some in (pictures, labels)
    )
    values, others = (tf.cast(some, tf.float32) for some in (pictures, others))
    result = tf.cast(tf.round(others + (values - others) * own), tf.uint8)
    share = by_mixup * (1 - (side / size) ** 2)
    return (
        result,
        tf.stack([labels, other_labels], axis=1),
        tf.stack([share, 1 - share], axis=1),
    )


def rectangle(
    size: int, top: tf.Tensor, left: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Marks the pixels of a rectangle in each picture, whose measures are float32 [b].

    Returns:
      bool [b, size, size, 1].
    """
    places = tf.range(size, dtype=tf.float32)[None]

    def within(start: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return (places >= start[:, None]) & (places < (start + length)[:, None])

    return (within(top, height)[:, :, None] & within(left, width)[:, None, :])[..., None]


def _beta(key: tf.Tensor, count: tf.Tensor, alpha: float) -> tf.Tensor:
    """Draws from Beta(alpha, alpha), and returns the larger of x and 1 - x: float32 [count]."""
    first, second = tf.unstack(tf.random.stateless_gamma([2, count], key, alpha))
    # Gammas of a small alpha may both underflow to 0.
    share = tf.math.divide_no_nan(first, first + second)
    return tf.maximum(share, 1 - share)
