"""JPEG bytes to pixels, by TensorFlow or by NVIDIA DALI: training, evaluation and submission.

Serving is always TensorFlow's `decode_jpeg`, which a SavedModel can hold.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from collections.abc import Callable

import tensorflow as tf
from absl import logging

DECODERS = ("auto", "tf", "dali")

# Decoded pictures that may wait at a time, whatever the number of cores: 400 MB at 180 x 180.
PICTURES_IN_FLIGHT = 4096

Transform = Callable[..., tf.Tensor]


class DecoderError(ValueError):
    """A decoder that does not exist or is not installed."""


def resolve_decoder(requested: str = "auto") -> str:
    """`tf` or `dali`: what was asked for, or for `auto` DALI if it is installed and a GPU is there.

    On a GPU it must run before TensorFlow first uses it: TensorFlow is kept from taking the memory
    that DALI needs.

    Raises:
      DecoderError: if there is no such decoder, or DALI was asked for and cannot be imported.
    """
    if requested not in DECODERS:
        raise DecoderError(
            f"`decoder` must be one of {', '.join(DECODERS)}. Received: {requested!r}."
        )
    if requested == "tf":
        return "tf"
    if requested == "auto" and not (tf.config.list_physical_devices("GPU") and _has_dali()):
        return "tf"
    try:
        _dali().leave_gpu_memory()
    # The plugin is a library built for one TensorFlow; another one fails to load it so.
    except (ImportError, OSError, tf.errors.OpError) as error:
        if requested == "auto":
            logging.warning("DALI is installed but cannot be used; TensorFlow decodes. %s", error)
            return "tf"
        raise DecoderError(
            "--decoder=dali needs NVIDIA DALI with its TensorFlow plugin, built for the installed "
            f"TensorFlow. Received: {error} Install both with `make gpu` (`make dali` without a "
            "GPU), or choose --decoder=tf."
        ) from error
    return "dali"


def _has_dali() -> bool:
    try:
        return importlib.util.find_spec("nvidia.dali_tf_plugin") is not None
    except ModuleNotFoundError:  # nothing of NVIDIA's is installed
        return False


def _dali():
    return importlib.import_module("trainer.data.dali_decoding")


def num_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def decode_jpeg(jpeg: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes one picture: string [] -> uint8 [image_size, image_size, 3].

    Grey and CMYK files become RGB; a file that ends early keeps the rows it has. Another size is
    resized (bilinear, antialiased). `INTEGER_ACCURATE` and fancy upscaling give libjpeg-turbo's
    exact result, the one that Pillow and OpenCV give; TensorFlow's default is up to 5 levels off
    and no faster.

    Raises:
      InvalidArgumentError: when run, if the bytes are no JPEG or its header is damaged.
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


def decode_batches(
    batches: tf.data.Dataset,
    image_size: int,
    batch_size: int,
    transform: Transform | None = None,
    decoder: str = "auto",
) -> tf.data.Dataset:
    """Decodes batches of JPEGs in parallel, in their order; one bad picture costs no other.

    Args:
      batches: elements (jpegs string [b], labels [b], arguments), the latter a tuple of [b, ...]
        tensors.
      image_size: width and height of the pictures.
      batch_size: b of every batch but the last, which may be smaller.
      transform: called on each decoded picture as `transform(picture, *arguments)`.
      decoder: one of DECODERS.

    Yields:
      For each batch, uint8 [n, image_size, image_size, 3] and int32 [n], the decoded pictures and
      their places in the batch, ascending, with n < b where some do not decode; and its labels.

    Raises:
      DecoderError: if the decoder does not exist or is not installed.
    """
    decode = _dali().decode_batches if resolve_decoder(decoder) == "dali" else _decode_batches
    return decode(batches, image_size, batch_size, transform)


def _decode_batches(
    batches: tf.data.Dataset, image_size: int, batch_size: int, transform: Transform | None
) -> tf.data.Dataset:
    """`decode_batches` by TensorFlow.

    A batch is decoded in one go if all of it decodes. If not, again as a small data set of its own:
    `ignore_errors` can then drop the one picture that does not decode, which no op within a `map`
    can do.
    """

    def decode(position: tf.Tensor, jpeg: tf.Tensor, arguments) -> tuple[tf.Tensor, tf.Tensor]:
        picture = decode_jpeg(jpeg, image_size)
        return (transform(picture, *arguments) if transform else picture), position

    cores = num_cores()
    batches_at_once = max(1, min(cores, PICTURES_IN_FLIGHT // batch_size))
    pictures_at_once = math.ceil(cores / batches_at_once)
    nothing = (tf.zeros([0, image_size, image_size, 3], tf.uint8), tf.zeros([0], tf.int32))

    def decode_all(*batch) -> tuple[tf.Tensor, tf.Tensor]:
        """A loop stays on its thread, where a data set hands each picture to another one."""
        positions = batch[0]
        pictures = tf.TensorArray(
            tf.uint8, tf.size(positions), element_shape=[image_size, image_size, 3]
        )

        def decode_next(number: tf.Tensor, pictures: tf.TensorArray):
            picture, _ = decode(*tf.nest.map_structure(lambda values: values[number], batch))
            return number + 1, pictures.write(number, picture)

        _, pictures = tf.while_loop(
            lambda number, _: number < tf.size(positions),
            decode_next,
            (0, pictures),
            parallel_iterations=pictures_at_once,
        )
        return pictures.stack(), positions

    def decode_batch(jpegs: tf.Tensor, labels: tf.Tensor, arguments) -> tf.data.Dataset:
        batch = (tf.range(tf.size(jpegs)), jpegs, arguments)
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
            .concatenate(tf.data.Dataset.from_tensors(nothing))  # if not one decodes
            .take(1)
            .map(lambda pictures, positions: (pictures, positions, labels))
        )

    return batches.interleave(
        decode_batch, cycle_length=batches_at_once, num_parallel_calls=batches_at_once
    )
