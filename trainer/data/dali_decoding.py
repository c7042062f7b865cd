"""Decodes JPEGs with NVIDIA DALI: with nvJPEG on a GPU, else with the same pipeline on the CPU.

Imported only if DALI was chosen; call it through `trainer.data.decoding.decode_batches`.

`trainer.data.dali_rows` prepares its input.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import nvidia.dali.plugin.tf as dali_tf
import tensorflow as tf
from absl import logging
from nvidia.dali import fn, pipeline_def, types

from cdisc_tfds.machine import num_cores
from trainer.data import tf_decoding
from trainer.data.dali_rows import DECODABLE, PADDING, Packing, packed_batches, warned


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
    packing = Packing(batches.element_spec[1])
    rows = packed_batches(batches, packing, image_size, batch_size)
    # On the CPU even if there is a GPU: tf.data's operations run there.
    pixels = _run_dali(rows, packing, image_size, batch_size, output="/cpu:0")

    def finish(pictures: tf.Tensor, headers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Any]:
        states = packing.states(headers)
        size = tf.math.count_nonzero(states != PADDING, dtype=tf.int32)
        others = packing.unpack(headers[:size])
        positions = tf.cast(tf.where(states == DECODABLE)[:, 0], tf.int32)
        complete = tf.size(positions) == tf.shape(pictures)[0]
        pictures = tf.cond(complete, lambda: pictures, lambda: tf.gather(pictures, positions))
        return pictures, positions, others

    in_flight = max(1, min(num_cores(), tf_decoding.PICTURES_IN_FLIGHT // batch_size))
    return pixels.map(finish, num_parallel_calls=in_flight)


def decode_on(
    device: str, batches: tf.data.Dataset, image_size: int, batch_size: int
) -> tf.data.Dataset:
    """Like `decode_batches`, but the pictures stay on a device; `unpacked` reads them there.

    No operation of tf.data may follow, apart from a prefetch on the device.

    Args:
      device: name of the device, e.g. `/device:GPU:0`.
      batches, image_size, batch_size: as in `decode_batches`.

    Yields:
      (pictures uint8 [batch_size, image_size, image_size, 3], headers uint8 [batch_size, h]), both
      on the device. A warning on stderr says which batches have undecodable pictures.
    """
    packing = Packing(batches.element_spec[1])
    rows = warned(packed_batches(batches, packing, image_size, batch_size), packing)
    # The plugin takes its input from the device that its output is on.
    rows = rows.apply(tf.data.experimental.copy_to_device(device))
    return _run_dali(rows, packing, image_size, batch_size, output=device)


def _run_dali(
    rows: tf.data.Dataset, packing: Packing, image_size: int, batch_size: int, output: str
) -> tf.data.Dataset:
    """uint8 [batch, bytes] -> (pictures uint8 [batch, size, size, 3], headers uint8 [batch, h])."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    device_id = 0 if on_gpu else None
    decoded = functools.partial(
        _decoded,
        header_size=packing.size,
        length_at=packing.length_at,
        image_size=image_size,
        on_gpu=on_gpu,
    )
    stays = on_gpu and "GPU" in output.upper()

    # The dynamic executor allows `.cpu()`, which copies pixels from the GPU (a no-op without one).
    @pipeline_def(
        batch_size=batch_size,
        num_threads=num_cores(),
        device_id=device_id,
        exec_dynamic=True,
        enable_conditionals=True,
    )
    def pipeline() -> Any:
        row = fn.external_source(name="rows", dtype=types.UINT8, ndim=1)
        pictures, header = decoded(row)
        return (pictures, header.gpu()) if stays else (pictures.cpu(), header)

    with tf.device(output):
        return dali_tf.experimental.DALIDatasetWithInputs(
            pipeline(),
            input_datasets={"rows": dali_tf.experimental.Input(rows, batch=True)},
            batch_size=batch_size,
            num_threads=num_cores(),
            device_id=device_id,
            output_dtypes=(tf.uint8, tf.uint8),
            output_shapes=(
                (batch_size, image_size, image_size, 3),
                (batch_size, packing.size),
            ),
        )


def _decoded(
    row: Any, header_size: int, length_at: int, image_size: int, on_gpu: bool
) -> tuple[Any, Any]:
    """A part of DALI's pipeline: a row -> (picture, header).

    DALI's CPU decoder is libjpeg-turbo in its most accurate mode, with fancy upsampling; the
    settings request the same from nvJPEG. The GPU's hardware decoder is off (`hw_decoder_load=0`):
    it picks pictures by their position in a batch, so their pixels would depend on that position.
    """
    header = row[:header_size]
    length = fn.reinterpret(row[length_at:header_size], dtype=types.INT32)
    file = row[header_size : header_size + length[0]]
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
    return fitting, header
