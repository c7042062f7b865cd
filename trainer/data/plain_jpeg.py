"""Selects the files that DALI may decode: plain JPEGs that every decoder accepts.

If a marker is missing, libjpeg-turbo (and so TensorFlow) looks for the next one, and it decodes the
rest of a truncated picture. DALI rejects both kinds of file, and the whole batch with them.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from cdisc_tfds.jpeg import END, FRAMES, START_OF_SCAN, FrameHeader, JpegError, frame_header, walk

# TensorFlow decodes larger pictures: a batch of them would not fit in GPU memory.
_MAX_PIXELS = 1 << 24
_PLAIN_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2))  # baseline, extended, progressive


def is_plain(jpegs: tf.Tensor) -> tf.Tensor:
    """Whether DALI may decode each file: string [b] -> bool [b]."""
    plain = tf.numpy_function(_have_plain_headers, [jpegs], tf.bool, stateful=False)
    plain = tf.ensure_shape(plain, jpegs.shape)

    def first_pixel(position: tf.Tensor, jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # If the pixel were not an output, TensorFlow would optimize the decoding away.
        return position, tf.io.decode_and_crop_jpeg(jpeg, [0, 0, 1, 1], channels=3)

    # Decoding one pixel reads all tables that the headers name, at a fraction of the full cost.
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
    """Whether a file is an 8-bit, 3-component JPEG with contiguous headers and an end marker."""
    if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != b"\xff\xd9":
        return False
    expected, frames = 2, 0
    try:
        for marker, position, length in walk(jpeg):
            if position != expected or not _has_length(marker):  # the walker skips padding
                return False
            if marker == START_OF_SCAN:
                return frames == 1
            if marker in FRAMES:
                if not _is_plain_frame(frame_header(jpeg, position)):
                    return False
                frames += 1
            expected = position + 2 + length
    except JpegError:
        return False
    return False


def _has_length(marker: int) -> bool:
    return 0xFFC0 <= marker <= 0xFFFE and not 0xFFD0 <= marker <= END


def _is_plain_frame(frame: FrameHeader) -> bool:
    return (
        frame.marker in _PLAIN_FRAMES
        and frame.precision == 8
        and frame.components == 3
        and 0 < frame.height * frame.width <= _MAX_PIXELS
    )
