"""RandAugment (Cubuk et al., arXiv:1909.13719) on batches: a few changes drawn for each picture.

Keras's layer of that name draws the same changes for a whole batch, computes all of them for every
batch, and fills with black. Here each picture has its own, moves are one pass over the pixels with
the other moves, and uncovered places are white. Equalize and sharpness, two of the paper's changes,
are left out.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.data import colour_changes, geometry

NUMBERS = 3  # uniform draws per change: which one, its strength, its sign

_MOVES = ("rotate", "shear_x", "shear_y", "shift_x", "shift_y")
_COLOURS = ("brightness", "contrast", "saturation", "posterize", "solarize", "stretch")
CHANGES = _MOVES + _COLOURS

# At full strength, as in timm's implementation at magnitude 10 of 10.
_ROTATION = 0.52  # radians, 30 degrees
_SHEAR = 0.3
_SHIFT = 0.3  # share of the side; timm has 0.45
_FACTOR = 0.9  # of brightness, contrast and saturation: between 0.1 and 1.9


def move(draws: tf.Tensor, image_size: int) -> geometry.Move:
    """The moves among the drawn changes, in their order.

    Args:
      draws: float32 [b, changes, NUMBERS], each in [0, 1).
      image_size: width and height, in pixels.
    """
    total = geometry.Move.none(tf.shape(draws)[0])
    for change in tf.unstack(draws, axis=1):
        chosen, strength = _chosen(change)
        angle, shear_x, shear_y, shift_x, shift_y = (
            tf.where(chosen == CHANGES.index(name), strength, 0.0) for name in _MOVES
        )
        total = (
            total.then(geometry.zoomed_and_rotated(None, angle * _ROTATION))
            .then(geometry.sheared(tf.stack([shear_x, shear_y], axis=1) * _SHEAR))
            .then(geometry.shifted(tf.stack([shift_y, shift_x], axis=1) * (_SHIFT * image_size)))
        )
    return total


def recoloured(values: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Applies the colour changes among the drawn ones.

    Args:
      values: float32 [b, size, size, 3], 0 to 255.
      draws: as for `move`.
    """
    for change in tf.unstack(draws, axis=1):
        chosen, strength = _chosen(change)
        factors = [
            1 + tf.where(chosen == CHANGES.index(name), strength * _FACTOR, 0.0)
            for name in ("brightness", "contrast", "saturation")
        ]
        values = colour_changes.multiplied(values, tf.stack(factors, axis=1))
        size = tf.abs(strength)
        others = {
            "posterize": colour_changes.posterized(values, 2.0 ** tf.round(4 * size)),
            "solarize": colour_changes.solarized(values, 255 * (1 - size)),
            "stretch": colour_changes.stretched(values),
        }
        for name, other in others.items():
            is_it = chosen == CHANGES.index(name)
            values = tf.where(is_it[:, None, None, None], other, values)
    return values


def _chosen(change: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """float32 [b, NUMBERS] -> (index in CHANGES int32 [b], strength float32 [b] in (-1, 1))."""
    which, strength, sign = tf.unstack(change, axis=1)
    chosen = tf.cast(which * len(CHANGES), tf.int32)
    return chosen, strength * tf.where(sign < 0.5, -1.0, 1.0)
