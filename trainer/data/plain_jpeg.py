"""Which files DALI may have: JPEGs of the plain kind that no decoder stumbles over.

libjpeg-turbo, and so TensorFlow, looks for the next marker where one is missing, and shows what it
has of a picture that is cut short. DALI refuses both, and with them the batch that they are in.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# Larger ones are TensorFlow's: a batch of them would not fit in a GPU's memory.
_MAX_PIXELS = 1 << 24
_START_OF_SCAN = 0xDA
_PLAIN_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended, progressive
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def is_plain(jpegs: tf.Tensor) -> tf.Tensor:
    """string [b] -> bool [b]: which files DALI may have."""
    plain = tf.numpy_function(_have_plain_headers, [jpegs], tf.bool, stateful=False)
    plain = tf.ensure_shape(plain, jpegs.shape)

    def first_pixel(position: tf.Tensor, jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The pixel is an output, or TensorFlow would leave the decoding out.
        return position, tf.io.decode_and_crop_jpeg(jpeg, [0, 0, 1, 1], channels=3)

    # It reads the tables that the headers name, which costs a fraction of decoding.
    size = tf.size(jpegs, tf.int64)
    nothing = (tf.zeros([0], tf.int64), tf.zeros([0, 1, 1, 3], tf.uint8))
    positions, _ = (
        tf.data.Dataset.from_tensor_slices((tf.range(size), jpegs))
        .map(first_pixel)
        .ignore_errors()
        .batch(tf.maximum(size, 1))
        .concatenate(tf.data.Dataset.from_tensors(nothing))
        .take(1)
        .get_single_element()
    )
    opened = tf.scatter_nd(positions[:, None], tf.ones_like(positions), size[None]) > 0
    return plain & opened


def _have_plain_headers(jpegs: np.ndarray) -> np.ndarray:
    return np.array([has_plain_headers(jpeg) for jpeg in jpegs], bool)


def has_plain_headers(jpeg: bytes) -> bool:
    """Whether a file is an RGB JPEG segment by segment up to its pixels, and has an end."""
    if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != b"\xff\xd9":
        return False
    position, frames = 2, 0
    while position + 4 <= len(jpeg) and jpeg[position] == 0xFF:
        marker = jpeg[position + 1]
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if marker in _FRAMES:
            if marker not in _PLAIN_FRAMES or not _is_plain_frame(jpeg[position + 4 :][:6]):
                return False
            frames += 1
        elif marker == _START_OF_SCAN:
            return frames == 1
        elif not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9:  # not one that has a length
            return False
        position += 2 + length
    return False


def _is_plain_frame(header: bytes) -> bool:
    """Of a frame header's precision, height, width and number of components."""
    height, width = int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big")
    return (
        len(header) == 6 and header[0] == 8 and 0 < height * width <= _MAX_PIXELS and header[5] == 3
    )
