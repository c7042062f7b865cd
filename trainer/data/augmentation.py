"""Random changes to training pictures: what they draw and what they do."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from trainer.data.augmentation_table import AUGMENTATIONS, Augmentation


def augmentation_draws(
    augment: str, seed: int, image_size: int
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """The function (step, n) -> random arguments [n, ...] of `TRANSFORMS[augment]` for n pictures.

    The draws depend only on a picture's place in the epoch: neither on the thread that decodes it
    nor on skipped steps.

    Args:
      augment: one of AUGMENTATIONS.
      seed: of an epoch's draws.
      image_size: side of the pictures in pixels; a shift reaches a tenth of it.
    """
    augmentation = AUGMENTATIONS[augment]
    reach = round(image_size / 10)

    def draw(step: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        key = tf.stack([tf.constant(seed, tf.int64), step])
        flip = tf.random.stateless_uniform([size], key) < 0.5
        if not augmentation.flip:
            return ()
        if not augmentation.shift:
            return (flip,)
        shift = tf.random.stateless_uniform([size, 2], key + [1, 0], -reach, reach + 1, tf.int32)
        return flip, shift

    return draw


def _flip(picture: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    return tf.cond(flip, lambda: tf.reverse(picture, [1]), lambda: picture)


def _flip_shift(picture: tf.Tensor, flip: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Mirrors the picture and moves it `shift` pixels down and right; uncovered edges are white."""
    before, after = tf.maximum(shift, 0), tf.maximum(-shift, 0)
    height, width = picture.shape[0], picture.shape[1]
    kept = picture[after[0] : height - before[0], after[1] : width - before[1]]
    padding = [[before[0], after[0]], [before[1], after[1]], [0, 0]]
    moved = tf.ensure_shape(tf.pad(kept, padding, constant_values=255), picture.shape)
    return _flip(moved, flip)


def _transform(augmentation: Augmentation) -> Callable[..., tf.Tensor] | None:
    if augmentation.shift:
        return _flip_shift
    return _flip if augmentation.flip else None


# Called on each picture, uint8 [size, size, 3], with what was drawn for it.
TRANSFORMS = {name: _transform(augmentation) for name, augmentation in AUGMENTATIONS.items()}
