"""DALI's input: each picture's file and its other tensors as one row of bytes.

DALI decodes whole batches, and a single file that it rejects stops its pipeline for good. So it
only gets files whose headers are plain and whose first pixel TensorFlow can decode. TensorFlow
decodes all others (grey, CMYK, truncated, damaged): they become lossless PNGs, or are left out.

A picture's other tensors, such as its label, travel with it: a row is [header, file], both uint8. A
separate data set of labels would read and shuffle every record twice.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from cdisc_tfds.machine import num_cores
from trainer.data import tf_decoding
from trainer.data.plain_jpeg import is_plain

# A picture's state, a byte of its header.
UNDECODABLE, DECODABLE, PADDING = 0, 1, 2
_LENGTH = 4  # bytes of the file's length, int32


class Packing:
    """Packs the tensors of a batch into one row of bytes per picture, and unpacks them.

    A header is [the tensors, state, length of the file].

    Args:
      spec: nested specs of [b, ...] tensors, with static shapes except for b.

    Attributes:
      size: bytes in a header.
      length_at: where the file's length begins in it.
    """

    def __init__(self, spec: Any):
        self._spec = spec
        self._sizes = [
            math.prod(part.shape[1:]) * part.dtype.size for part in tf.nest.flatten(spec)
        ]
        self.length_at = sum(self._sizes) + 1
        self.size = self.length_at + _LENGTH

    def rows(self, files: tf.Tensor, states: tf.Tensor, tensors: Any) -> tf.Tensor:
        """string [b], uint8 [b], nested [b, ...] -> uint8 [b, size + bytes of the longest file]."""
        lengths = tf.strings.length(files)
        parts = [
            *self._bytes_of(tensors),
            states[:, None],
            tf.bitcast(lengths, tf.uint8),
            tf.io.decode_raw(files, tf.uint8, fixed_length=tf.reduce_max(lengths)),
        ]
        return tf.concat(parts, axis=1)

    def states(self, headers: tf.Tensor) -> tf.Tensor:
        """uint8 [b, size] -> states uint8 [b]."""
        return headers[:, self.length_at - 1]

    def unpack(self, headers: tf.Tensor) -> Any:
        """uint8 [b, size] -> the nested tensors of `rows`."""
        parts = tf.split(headers[:, : self.length_at - 1], self._sizes, axis=1)
        tensors = []
        for part, spec in zip(parts, tf.nest.flatten(self._spec), strict=True):
            shape = [-1, *spec.shape[1:]]
            if spec.dtype == tf.bool:
                tensor = tf.cast(tf.reshape(part, shape), tf.bool)
            else:
                tensor = tf.bitcast(tf.reshape(part, [*shape, spec.dtype.size]), spec.dtype)
            tensors.append(tf.ensure_shape(tensor, [None, *spec.shape[1:]]))
        return tf.nest.pack_sequence_as(self._spec, tensors)

    def _bytes_of(self, tensors: Any) -> list[tf.Tensor]:
        rows = []
        for tensor, size in zip(tf.nest.flatten(tensors), self._sizes, strict=True):
            if tensor.dtype != tf.bool:
                tensor = tf.bitcast(tensor, tf.uint8)
            rows.append(tf.reshape(tf.cast(tensor, tf.uint8), [-1, size]))
        return rows


def packed_batches(
    batches: tf.data.Dataset, packing: Packing, image_size: int, batch_size: int
) -> tf.data.Dataset:
    """Packs batches for DALI.

    Args:
      batches: elements (jpegs string [b], others), b <= batch_size.
      packing: of `others`.
      image_size: width and height of the decoded pictures.
      batch_size: number of rows; rows without a picture fill a smaller batch up.

    Yields:
      uint8 [batch_size, packing.size + bytes of the batch's longest file].
    """
    readable = _readable(image_size)

    def pack(jpegs: tf.Tensor, others: Any) -> tf.Tensor:
        files, states = readable(jpegs)
        missing = batch_size - tf.size(files)
        files = tf.concat([files, tf.fill([missing], _placeholder())], axis=0)
        states = tf.concat([states, tf.fill([missing], _state(PADDING))], axis=0)
        others = tf.nest.map_structure(lambda tensor: _filled_up(tensor, missing), others)
        return tf.ensure_shape(packing.rows(files, states, others), [batch_size, None])

    return batches.map(pack, num_parallel_calls=num_cores())


def unpacked(
    pictures: tf.Tensor, headers: tf.Tensor, packing: Packing, is_part: bool
) -> tuple[tf.Tensor, Any]:
    """What DALI made of rows: pictures, white where they cannot be decoded, and their tensors.

    Args:
      pictures: uint8 [b, size, size, 3].
      headers: uint8 [b, packing.size].
      packing: of the rows.
      is_part: whether some rows may have no picture; else their number is b.
    """
    states = packing.states(headers)
    if is_part:
        size = tf.math.count_nonzero(states != PADDING, dtype=tf.int32)
        pictures, headers, states = pictures[:size], headers[:size], states[:size]
    missing = (states == UNDECODABLE)[:, None, None, None]
    return tf.where(missing, tf.constant(255, tf.uint8), pictures), packing.unpack(headers)


def warned(rows: tf.data.Dataset, packing: Packing) -> tf.data.Dataset:
    """The same rows; a warning says that pictures of a batch cannot be decoded."""

    def look(batch: tf.Tensor) -> tf.Tensor:
        missing = tf.math.count_nonzero(packing.states(batch) == UNDECODABLE)
        warning = tf.cond(
            missing > 0,
            lambda: warn_of_missing(missing, "White ones stand in for them."),
            lambda: tf.no_op(),
        )
        with tf.control_dependencies([warning]):
            return tf.identity(batch)

    return rows.map(look)


def warn_of_missing(missing: tf.Tensor, consequence: str) -> tf.Operation:
    """Says on stderr how many pictures of a batch cannot be decoded, and what follows."""
    return tf.print(
        "WARNING:",
        missing,
        "picture(s) of a batch cannot be decoded.",
        consequence,
        output_stream=sys.stderr,
    )


def _filled_up(tensor: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    return tf.pad(tensor, [[0, missing], *([0, 0] for _ in tensor.shape[1:])])


def _readable(image_size: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a function: jpegs string [b] -> (files for DALI string [b], states uint8 [b])."""

    def lossless(jpeg: tf.Tensor) -> tf.Tensor:
        return tf.io.encode_png(tf_decoding.decode_jpeg(jpeg, image_size), compression=0)

    def decoded_here(jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Only `ignore_errors` can continue after a file that does not decode.
        file = (
            tf.data.Dataset.from_tensors(jpeg)
            .map(lossless)
            .ignore_errors()
            .concatenate(tf.data.Dataset.from_tensors(""))
            .take(1)
            .get_single_element()
        )
        decodable = tf.strings.length(file) > 0
        state = tf.where(decodable, _state(DECODABLE), _state(UNDECODABLE))
        return tf.where(decodable, file, _placeholder()), state

    def readable(jpegs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        plain = is_plain(jpegs)
        as_they_are = (jpegs, tf.fill(tf.shape(jpegs), _state(DECODABLE)))
        return tf.cond(
            tf.reduce_all(plain),
            lambda: as_they_are,
            lambda: tf.map_fn(
                lambda picture: tf.cond(
                    picture[1],
                    lambda: (picture[0], _state(DECODABLE)),
                    lambda: decoded_here(picture[0]),
                ),
                (jpegs, plain),
                fn_output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.uint8)),
            ),
        )

    return readable


def _state(state: int) -> tf.Tensor:
    return tf.constant(state, tf.uint8)


def _placeholder() -> tf.Tensor:
    return tf.io.encode_png(tf.zeros([1, 1, 3], tf.uint8))
