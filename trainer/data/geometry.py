"""Moves pictures: mirrors, shifts, enlarges, rotates and shears them in one pass over the pixels.

A move maps each place of the new picture to the place of the old one that it shows, both relative
to the picture's centre, as (right, down) in pixels: old = matrix @ new + offset. Places outside the
old picture are white, like the background of product photos.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

_WHITE = 255.0


@dataclasses.dataclass(frozen=True, eq=False)
class Move:
    """A move of each picture.

    Attributes:
      matrix: float32 [b, 2, 2].
      offset: float32 [b, 2].
      is_none: whether nothing moves, whatever the pictures.
    """

    matrix: tf.Tensor
    offset: tf.Tensor
    is_none: bool = False

    @classmethod
    def none(cls, count: tf.Tensor) -> Move:
        """The move of `count` pictures that leaves them where they are."""
        return cls(tf.eye(2, batch_shape=[count]), tf.zeros([count, 2]), is_none=True)

    def then(self, later: Move) -> Move:
        """This move, followed by `later`."""
        offset = tf.linalg.matvec(self.matrix, later.offset) + self.offset
        return Move(self.matrix @ later.matrix, offset, self.is_none and later.is_none)


def mirrored(flip: tf.Tensor) -> Move:
    """Mirrors the pictures where `flip`, bool [b], is true."""
    sign = tf.where(flip, -1.0, 1.0)
    one = tf.ones_like(sign)
    return Move(tf.linalg.diag(tf.stack([sign, one], axis=1)), tf.zeros([tf.size(flip), 2]))


def shifted(shift: tf.Tensor) -> Move:
    """Moves each picture by `shift`, float32 [b, 2], pixels down and right."""
    count = tf.shape(shift)[0]
    return Move(tf.eye(2, batch_shape=[count]), -tf.reverse(shift, [1]))


def zoomed_and_rotated(zoom: tf.Tensor | None, angle: tf.Tensor | None) -> Move:
    """Enlarges by `zoom`, float32 [b], and rotates by `angle`, float32 [b], in radians."""
    some = zoom if zoom is not None else angle
    zoom = tf.ones_like(some) if zoom is None else zoom
    angle = tf.zeros_like(some) if angle is None else angle
    cosine, sine = tf.cos(angle) / zoom, tf.sin(angle) / zoom
    matrix = tf.stack([tf.stack([cosine, sine], 1), tf.stack([-sine, cosine], 1)], 1)
    return Move(matrix, tf.zeros([tf.size(some), 2]))


def sheared(shear: tf.Tensor) -> Move:
    """Shears by `shear`, float32 [b, 2]: pixels right per pixel down, and down per pixel right."""
    one = tf.ones_like(shear[:, 0])
    matrix = tf.stack([tf.stack([one, shear[:, 0]], 1), tf.stack([shear[:, 1], one], 1)], 1)
    return Move(matrix, tf.zeros_like(shear))


def moved(pictures: tf.Tensor, move: Move, interpolate: bool) -> tf.Tensor:
    """Applies a move.

    Args:
      pictures: uint8 [b, size, size, 3].
      move: of b pictures.
      interpolate: whether to interpolate between pixels (bilinear); else the nearest one counts.

    Returns:
      uint8 [b, size, size, 3].
    """
    centre = (pictures.shape[1] - 1) / 2
    matrix = move.matrix
    # The operation counts places from the first pixel, not from the centre.
    offset = move.offset + centre - tf.reduce_sum(matrix * centre, axis=2)
    rows = tf.concat([matrix, offset[:, :, None]], axis=2)
    transforms = tf.pad(tf.reshape(rows, [-1, 6]), [[0, 0], [0, 2]])
    values = tf.cast(pictures, tf.float32) if interpolate else pictures
    result = tf.raw_ops.ImageProjectiveTransformV3(
        images=values,
        transforms=transforms,
        output_shape=tf.shape(pictures)[1:3],
        fill_value=_WHITE,
        interpolation="BILINEAR" if interpolate else "NEAREST",
        fill_mode="CONSTANT",
    )
    if interpolate:
        result = tf.cast(tf.round(result), tf.uint8)
    return tf.ensure_shape(result, pictures.shape)
