"""Random changes to the pictures of a training batch.

The pipeline draws random numbers for each picture; the changes are functions of pictures and
numbers alone, on whole batches. The numbers depend only on the seed and on the picture's place in
the epoch: not on threads, and not on steps that a resumed run skips.
"""

from __future__ import annotations

import math

import tensorflow as tf

from trainer.data import colour_changes, geometry, mixing, rand_augment
from trainer.data.augmentation_table import Augmentation

# The numbers drawn for a batch: [b, ...] tensors by the name of the change.
Draws = dict[str, tf.Tensor]

# Share of a picture's area that is erased, and the ratio of the rectangle's sides, as in the paper
# (Zhong et al., arXiv:1708.04896).
_ERASED_AREA = (0.02, 0.4)
_ERASED_RATIO = (0.3, 1 / 0.3)


class Drawer:
    """Draws the random numbers of an epoch's changes.

    Args:
      augmentation: the changes.
      seed: seed of the epoch's draws.
      image_size: width and height of the pictures, in pixels.
    """

    def __init__(self, augmentation: Augmentation, seed: int, image_size: int):
        self._what, self._seed, self._size = augmentation, seed, image_size

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed with others."""
        return self._what.mixes

    def draws(self, step: tf.Tensor, count: tf.Tensor) -> Draws:
        """The numbers for the `count` pictures of batch `step`, int64 [], of the epoch."""
        what, draws = self._what, {}
        key = tf.stack([tf.constant(self._seed, tf.int64), step])

        def uniform(stream: int, *shape: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
            return tf.random.stateless_uniform([count, *shape], key + [stream, 0], low, high)

        if what.flip:
            draws["flip"] = uniform(0) < 0.5
        if what.shift:
            reach = round(self._size * what.shift)
            draws["shift"] = tf.random.stateless_uniform(
                [count, 2], key + [1, 0], -reach, reach + 1, tf.int32
            )
        if what.zoom:
            low, high = map(math.log, what.zoom)
            draws["zoom"] = tf.exp(uniform(2, low=low, high=high))
            draws["place"] = uniform(11, 2, low=-0.5, high=0.5)
        if what.rotate:
            most = math.radians(what.rotate)
            draws["rotate"] = uniform(3, low=-most, high=most)
        if what.colour:
            draws["colour"] = uniform(4, 3, low=1 - what.colour, high=1 + what.colour)
        if what.rand_augment:
            draws["rand_augment"] = uniform(5, what.rand_augment, rand_augment.NUMBERS)
        if what.erase:
            draws["erase"] = uniform(6, 5)
        if what.mixes:
            draws["mix"] = mixing.draw_shares(key + [7, 0], count, what.mixup, what.cutmix)
            draws["cut"] = uniform(10, 2)
        return draws


class Changes:
    """Applies the random changes: on the processor within the pipeline, or on a GPU in the step.

    Args:
      augmentation: the changes.
    """

    def __init__(self, augmentation: Augmentation):
        self._what = augmentation

    def __call__(
        self, pictures: tf.Tensor, labels: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, ...]:
        """Changes a batch.

        Args:
          pictures: uint8 [b, size, size, 3].
          labels: int32 [b].
          draws: of `Drawer.draws`.

        Returns:
          (pictures uint8, labels), and if the changes mix pictures, as `mixed`.
        """
        pictures = self.changed(pictures, draws)
        return self.mixed(pictures, labels, draws) if self._what.mixes else (pictures, labels)

    def changed(self, pictures: tf.Tensor, draws: Draws) -> tf.Tensor:
        """The pictures, uint8 [b, size, size, 3], changed one by one."""
        what, size = self._what, pictures.shape[1]
        move = geometry.Move.none(tf.shape(pictures)[0])
        if what.zoom or what.rotate:
            move = move.then(geometry.zoomed_and_rotated(draws.get("zoom"), draws.get("rotate")))
        if what.zoom:
            # What an enlarged picture loses at its sides, or a reduced one leaves white there.
            slack = abs(draws["zoom"] - 1)[:, None] * size
            move = move.then(geometry.shifted(draws["place"] * slack))
        if what.shift:
            move = move.then(geometry.shifted(tf.cast(draws["shift"], tf.float32)))
        if what.flip and move.is_none:
            pictures = tf.where(
                draws["flip"][:, None, None, None], tf.reverse(pictures, [2]), pictures
            )
        elif what.flip:
            move = move.then(geometry.mirrored(draws["flip"]))
        if what.rand_augment:
            move = move.then(rand_augment.move(draws["rand_augment"], size))
        # Whole pixels need no interpolation, and keep their values.
        whole_pixels = not (what.zoom or what.rotate or what.rand_augment)
        if not move.is_none:
            pictures = geometry.moved(pictures, move, interpolate=not whole_pixels)
        if not (what.colour or what.rand_augment or what.erase):
            return pictures
        values = tf.cast(pictures, tf.float32)
        if what.colour:
            values = colour_changes.multiplied(values, draws["colour"])
        if what.rand_augment:
            values = rand_augment.recoloured(values, draws["rand_augment"])
        if what.erase:
            values = self._erased(values, draws["erase"])
        return to_pixels(values)

    def mixed(
        self, pictures: tf.Tensor, labels: tf.Tensor, draws: Draws
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mixes each picture with another of the batch; see `trainer.data.mixing`.

        Args:
          pictures: uint8 [b, size, size, 3].
          labels: int32 [b].
          draws: of `draws`; with lanes, also "partner", int32 [b].

        Returns:
          (pictures uint8, labels int32 [b, 2], shares float32 [b, 2] that sum to 1).
        """
        return mixing.mixed(pictures, labels, draws["mix"], draws["cut"], draws.get("partner"))

    def _erased(self, values: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Fills a rectangle in some pictures with the picture's mean colour."""
        chosen, area, ratio, top, left = tf.unstack(draws, axis=1)
        size = values.shape[1]
        area = _between(area, *_ERASED_AREA) * size**2
        ratio = tf.exp(_between(ratio, *map(math.log, _ERASED_RATIO)))
        height = tf.minimum(tf.sqrt(area * ratio), float(size))
        width = tf.minimum(tf.sqrt(area / ratio), float(size))
        inside = mixing.rectangle(size, top * (size - height), left * (size - width), height, width)
        inside &= (chosen < self._what.erase)[:, None, None, None]
        return tf.where(inside, tf.reduce_mean(values, [1, 2], keepdims=True), values)


def to_pixels(values: tf.Tensor) -> tf.Tensor:
    """Rounds float32 values to uint8."""
    return tf.cast(tf.round(tf.clip_by_value(values, 0, 255)), tf.uint8)


def _between(uniform: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return low + uniform * (high - low)
