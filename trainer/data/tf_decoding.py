"""Decodes JPEGs with TensorFlow, one by one or in batches."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from cdisc_tfds.machine import num_cores

# Limit on decoded pictures in flight, on any number of cores: 400 MB at 180 x 180.
PICTURES_IN_FLIGHT = 4096


def decode_jpeg(jpeg: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes one picture: string [] -> uint8 [image_size, image_size, 3].

    Grey and CMYK files become RGB; a truncated file keeps the rows it has. Pictures of another size
    are resized (bilinear, antialiased). `INTEGER_ACCURATE` and fancy upscaling give libjpeg-turbo's
    exact result, the same as Pillow and OpenCV; TensorFlow's default is up to 5 levels off and no
    faster.

    Raises:
      InvalidArgumentError: when executed, if the bytes are not a JPEG or its header is damaged.
    """
    picture = tf.io.decode_jpeg(
        jpeg,
        channels=3,
        dct_method="INTEGER_ACCURATE",
        fancy_upscaling=True,
        try_recover_truncated=True,
    )
    fits = tf.reduce_all(tf.equal(tf.shape(picture)[:2], image_size))
    picture = tf.cond(fits, lambda: picture, lambda: _resize(picture, image_size))
    return tf.ensure_shape(picture, [image_size, image_size, 3])


def _resize(picture: tf.Tensor, image_size: int) -> tf.Tensor:
    resized = tf.image.resize(picture, [image_size, image_size], antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def decode_batches(batches: tf.data.Dataset, image_size: int, batch_size: int) -> tf.data.Dataset:
    """Implements `trainer.data.decoding.decode_batches`, with the same arguments and elements.

    It decodes a batch in one go. If that fails, it decodes the batch again as a small data set,
    from which `ignore_errors` drops the pictures that do not decode; no op within a `map` can do
    that.
    """

    def decode(position: tf.Tensor, jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_jpeg(jpeg, image_size), position

    cores = num_cores()
    batches_at_once = max(1, min(cores, PICTURES_IN_FLIGHT // batch_size))
    pictures_at_once = math.ceil(cores / batches_at_once)
    nothing = (tf.zeros([0, image_size, image_size, 3], tf.uint8), tf.zeros([0], tf.int32))

    def decode_all(positions: tf.Tensor, jpegs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes in a loop on one thread; a data set would hand each picture to another thread."""
        pictures = tf.TensorArray(
            tf.uint8, tf.size(positions), element_shape=[image_size, image_size, 3]
        )

        def decode_next(
            number: tf.Tensor, pictures: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray]:
            return number + 1, pictures.write(number, decode_jpeg(jpegs[number], image_size))

        _, pictures = tf.while_loop(
            lambda number, _: number < tf.size(positions),
            decode_next,
            (0, pictures),
            parallel_iterations=pictures_at_once,
        )
        return pictures.stack(), positions

    def decode_batch(jpegs: tf.Tensor, others: Any) -> tf.data.Dataset:
        batch = (tf.range(tf.size(jpegs)), jpegs)
        return (
            tf.data.Dataset.from_tensors(batch)
            .map(decode_all)
            .ignore_errors()
            .concatenate(
                tf.data.Dataset.from_tensor_slices(batch)
                .map(decode, num_parallel_calls=pictures_at_once if pictures_at_once > 1 else None)
                .ignore_errors()
                .batch(batch_size)
            )
            .concatenate(tf.data.Dataset.from_tensors(nothing))  # if none decodes
            .take(1)
            .map(lambda pictures, positions: (pictures, positions, others))
        )

    return batches.interleave(
        decode_batch, cycle_length=batches_at_once, num_parallel_calls=batches_at_once
    )
