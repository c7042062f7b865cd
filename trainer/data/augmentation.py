"""Random augmentations of training pictures: the random draws and the transforms."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from trainer.data.augmentation_table import AUGMENTATIONS, Augmentation


def augmentation_draws(
    augment: str, seed: int, image_size: int
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Returns a function: (step, n) -> random arguments [n, ...] of `TRANSFORMS[augment]`.

    The draws for n pictures depend only on their position in the epoch, not on the thread that
    decodes them or on skipped steps.

    Args:
      augment: one of AUGMENTATIONS.
      seed: seed of the epoch's draws.
      image_size: width and height of the pictures in pixels; shifts go up to a tenth of it.
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


# Each is called on a picture, uint8 [size, size, 3], with the values drawn for it.
TRANSFORMS = {name: _transform(augmentation) for name, augmentation in AUGMENTATIONS.items()}
