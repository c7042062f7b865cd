"""Decodes JPEGs with NVIDIA DALI: with nvJPEG on a GPU, else with the same pipeline on the CPU.

Imported only if DALI was chosen; call it through `trainer.data.decoding.decode_batches`.

DALI decodes whole batches, and a single file that it rejects stops its pipeline for good. So it
only gets files whose headers are plain and whose first pixel TensorFlow can decode. TensorFlow
decodes all others (grey, CMYK, truncated, damaged): they become lossless PNGs, or are left out.

A picture's other tensors, such as its label, travel with it: each sample is [header, file], both
uint8. A separate data set of labels would read and shuffle every record twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import nvidia.dali.plugin.tf as dali_tf
import tensorflow as tf
from absl import logging
from nvidia.dali import fn, pipeline_def, types

from cdisc_tfds.machine import num_cores
from trainer.data import tf_decoding
from trainer.data.plain_jpeg import is_plain

# A sample's state, the last byte of its header.
_UNDECODABLE, _DECODABLE, _PADDING = 0, 1, 2


def leave_gpu_memory() -> None:
    """Stops TensorFlow from reserving all GPU memory, because DALI needs some of it.

    Call this before TensorFlow first uses a GPU.
    """
    if os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH", "").lower() == "true":
        return
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError) as error:
            logging.warning(
                "TensorFlow already uses %s, and may have taken the memory that DALI needs: %s "
                "Set TF_FORCE_GPU_ALLOW_GROWTH=true if DALI runs out of memory.",
                gpu.name,
                error,
            )


def decode_batches(batches: tf.data.Dataset, image_size: int, batch_size: int) -> tf.data.Dataset:
    """Implements `trainer.data.decoding.decode_batches`, with the same arguments and elements.

    Every batch except the last must hold `batch_size` pictures. Decoding runs on the first GPU if
    there is one; the pixels then return to the host, where the pipeline continues.

    Raises:
      InternalError: while iterating, if DALI still rejects a file, because of damage that only
        decoding the whole file reveals.
    """
    packing = _Packing(batches.element_spec[1])
    cores = num_cores()
    readable = _readable(image_size)

    def files_and_headers(jpegs: tf.Tensor, others: Any) -> tuple[tf.Tensor, tf.Tensor]:
        files, states = readable(jpegs)
        return files, tf.concat([packing.pack(others), states[:, None]], axis=1)

    samples = (
        batches.map(files_and_headers, num_parallel_calls=cores)
        .unbatch()
        .map(_sample, num_parallel_calls=cores)
        # DALI drops a partial last batch.
        .concatenate(_padding(packing.size, batch_size - 1))
    )
    pixels = _run_dali(samples, packing.size, image_size, batch_size)

    def finish(pictures: tf.Tensor, headers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Any]:
        states = headers[:, -1]
        size = tf.math.count_nonzero(states != _PADDING, dtype=tf.int32)
        others = packing.unpack(headers[:size, :-1])
        positions = tf.cast(tf.where(states == _DECODABLE)[:, 0], tf.int32)
        complete = tf.size(positions) == tf.shape(pictures)[0]
        pictures = tf.cond(complete, lambda: pictures, lambda: tf.gather(pictures, positions))
        return pictures, positions, others

    in_flight = max(1, min(cores, tf_decoding.PICTURES_IN_FLIGHT // batch_size))
    return pixels.map(finish, num_parallel_calls=in_flight)


def _run_dali(
    samples: tf.data.Dataset, header_size: int, image_size: int, batch_size: int
) -> tf.data.Dataset:
    """uint8 [header and file] -> (pictures uint8 [batch, size, size, 3], headers uint8 [batch, h]).

    DALI's CPU decoder is libjpeg-turbo in its most accurate mode, with fancy upsampling; the
    settings request the same from nvJPEG. The GPU's hardware decoder is off (`hw_decoder_load=0`):
    it picks pictures by their position in a batch, so their pixels would depend on that position.
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    device_id = 0 if on_gpu else None

    # The dynamic executor allows `.cpu()`, which copies pixels from the GPU (a no-op without one).
    @pipeline_def(
        batch_size=batch_size,
        num_threads=num_cores(),
        device_id=device_id,
        exec_dynamic=True,
        enable_conditionals=True,
    )
    def pipeline() -> Any:
        sample = fn.external_source(name="samples", dtype=types.UINT8, ndim=1)
        header, file = sample[:header_size], sample[header_size:]
        shape = fn.peek_image_shape(file)
        mixed = {"hw_decoder_load": 0.0} if on_gpu else {}
        pictures = fn.decoders.image(
            file,
            device="mixed" if on_gpu else "cpu",
            output_type=types.RGB,
            jpeg_fancy_upsampling=True,
            use_fast_idct=False,
            adjust_orientation=False,  # like TensorFlow, which ignores EXIF
            **mixed,
        )
        # DALI evaluates this condition per picture.
        if shape[0] == image_size and shape[1] == image_size:
            fitting = pictures
        else:
            fitting = fn.resize(
                pictures,
                size=[image_size, image_size],
                interp_type=types.INTERP_LINEAR,
                antialias=True,
            )
        return fitting.cpu(), header

    # On the CPU even if there is a GPU: tf.data's operations run there.
    with tf.device("/cpu:0"):
        return dali_tf.experimental.DALIDatasetWithInputs(
            pipeline(),
            input_datasets={"samples": samples},
            batch_size=batch_size,
            num_threads=num_cores(),
            device_id=device_id,
            output_dtypes=(tf.uint8, tf.uint8),
            output_shapes=(
                (batch_size, image_size, image_size, 3),
                (batch_size, header_size),
            ),
        )


# DALI's input.


def _sample(file: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    """string [], uint8 [h] -> uint8 [h + bytes of the file]."""
    return tf.concat([header, tf.io.decode_raw(file, tf.uint8)], axis=0)


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
        state = tf.where(decodable, _state(_DECODABLE), _state(_UNDECODABLE))
        return tf.where(decodable, file, _placeholder()), state

    def readable(jpegs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        plain = is_plain(jpegs)
        as_they_are = (jpegs, tf.fill(tf.shape(jpegs), _state(_DECODABLE)))
        return tf.cond(
            tf.reduce_all(plain),
            lambda: as_they_are,
            lambda: tf.map_fn(
                lambda picture: tf.cond(
                    picture[1],
                    lambda: (picture[0], _state(_DECODABLE)),
                    lambda: decoded_here(picture[0]),
                ),
                (jpegs, plain),
                fn_output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.uint8)),
            ),
        )

    return readable


def _state(state: int) -> tf.Tensor:
    return tf.constant(state, tf.uint8)


def _padding(header_size: int, count: int) -> tf.data.Dataset:
    """`count` samples without a picture."""
    header = tf.concat([tf.zeros([header_size - 1], tf.uint8), [_state(_PADDING)]], axis=0)
    return tf.data.Dataset.from_tensors(_sample(_placeholder(), header)).repeat(count)


def _placeholder() -> tf.Tensor:
    return tf.io.encode_png(tf.zeros([1, 1, 3], tf.uint8))


class _Packing:
    """Packs the tensors of a batch into one row of bytes per picture, and unpacks them.

    Args:
      spec: nested specs of [b, ...] tensors, with static shapes except for b.

    Attributes:
      size: bytes in a header: those of the packed tensors, plus one for the sample's state.
    """

    def __init__(self, spec: Any):
        self._spec = spec
        self._sizes = [
            math.prod(part.shape[1:]) * part.dtype.size for part in tf.nest.flatten(spec)
        ]
        self.size = sum(self._sizes) + 1

    def pack(self, tensors: Any) -> tf.Tensor:
        """Nested [b, ...] tensors -> uint8 [b, size - 1]."""
        rows = []
        for tensor, size in zip(tf.nest.flatten(tensors), self._sizes, strict=True):
            if tensor.dtype != tf.bool:
                tensor = tf.bitcast(tensor, tf.uint8)
            rows.append(tf.reshape(tf.cast(tensor, tf.uint8), [-1, size]))
        return tf.concat(rows, axis=1)

    def unpack(self, rows: tf.Tensor) -> Any:
        """uint8 [b, size - 1] -> the tensors of `pack`."""
        parts = tf.split(rows, self._sizes, axis=1)
        tensors = []
        for part, spec in zip(parts, tf.nest.flatten(self._spec), strict=True):
            shape = [-1, *spec.shape[1:]]
            if spec.dtype == tf.bool:
                tensor = tf.cast(tf.reshape(part, shape), tf.bool)
            else:
                tensor = tf.bitcast(tf.reshape(part, [*shape, spec.dtype.size]), spec.dtype)
            tensors.append(tf.ensure_shape(tensor, [None, *spec.shape[1:]]))
        return tf.nest.pack_sequence_as(self._spec, tensors)
