"""Decodes JPEGs for training and prediction, with TensorFlow or NVIDIA DALI.

The library function behind a command resolves the decoder once (`resolve_decoder`) and passes the
resolved name down. Serving always uses `trainer.data.tf_decoding`, which a SavedModel can hold.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import types
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging

from trainer.data import tf_decoding
from trainer.data.decoder_table import DECODERS, MODULES, RESOLVED


class DecoderError(ValueError):
    """A decoder that does not exist or is not installed."""


def resolve_decoder(requested: str = "auto") -> str:
    """Chooses the decoder, `tf` or `dali`.

    `auto` means DALI if there is a GPU and DALI is installed and loads; else TensorFlow. Call this
    before TensorFlow first uses a GPU: for DALI, it stops TensorFlow from reserving all GPU memory.

    Args:
      requested: one of DECODERS.

    Raises:
      DecoderError: if there is no such decoder, or `dali` was requested and cannot be imported.
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
    except DecoderError as error:
        if requested == "auto":
            logging.warning("DALI is installed but cannot be used; TensorFlow decodes. %s", error)
            return "tf"
        raise
    return "dali"


def decode_batches(
    batches: tf.data.Dataset,
    image_size: int,
    batch_size: int,
    decoder: str = "tf",
) -> tf.data.Dataset:
    """Decodes batches of JPEGs in parallel, in order; a bad picture does not affect the others.

    Args:
      batches: elements (jpegs string [b], others); `others` is a nested structure of tensors, each
        [b, ...] with a known shape except for b.
      image_size: width and height of the pictures.
      batch_size: b of every batch except the last, which may be smaller.
      decoder: one of RESOLVED, from `resolve_decoder`.

    Yields:
      (pictures uint8 [n, image_size, image_size, 3], positions int32 [n], others) per batch: the
      decoded pictures, their ascending positions in the batch, and `others` of the whole batch.
      n < b if some pictures do not decode.

    Raises:
      DecoderError: if `decoder` is not in RESOLVED or is not installed.
    """
    if decoder not in RESOLVED:
        raise DecoderError(
            f"A resolved decoder is one of {', '.join(RESOLVED)}. Received: {decoder!r}. Call "
            "`resolve_decoder` first."
        )
    decode = _dali().decode_batches if decoder == "dali" else tf_decoding.decode_batches
    return decode(batches, image_size, batch_size)


@dataclasses.dataclass(frozen=True)
class OnDevice:
    """Batches whose tensors are on a device before the step that reads them.

    Attributes:
      dataset: the batches, on the device.
      device: its name.
    """

    dataset: tf.data.Dataset
    device: str

    def __iter__(self) -> Iterator[Any]:
        with tf.device(self.device):
            return iter(self.dataset.prefetch(2))


Batches = tf.data.Dataset | OnDevice


def decode_on(device: str, batches: tf.data.Dataset, image_size: int, batch_size: int) -> OnDevice:
    """Decodes batches of JPEGs with DALI, and leaves the pictures on a device.

    See `trainer.data.dali_decoding.decode_on`.

    Raises:
      DecoderError: if DALI is not installed.
    """
    return OnDevice(_dali().decode_on(device, batches, image_size, batch_size), device)


def _has_dali() -> bool:
    try:
        return importlib.util.find_spec("nvidia.dali_tf_plugin") is not None
    except ModuleNotFoundError:  # no NVIDIA package is installed
        return False


def _dali() -> types.ModuleType:
    """Imports the module that needs DALI, an optional package; raises DecoderError without it."""
    try:
        return importlib.import_module(MODULES["dali"])
    # The plugin is compiled for one TensorFlow version and fails to load with another.
    except (ImportError, OSError, tf.errors.OpError) as error:
        raise DecoderError(
            "--decoder=dali needs NVIDIA DALI with its TensorFlow plugin, built for the installed "
            f"TensorFlow. Received: {error} Install both with `make gpu` (`make dali` without a "
            "GPU), or choose --decoder=tf."
        ) from error
