"""The device to compare with the processor, or another backend of the processor itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

PROCESSOR = "CPU:0"


def gpus() -> int:
    """The number of GPUs."""
    return len(tf.config.list_physical_devices("GPU"))


def backends() -> list[tuple[str, bool]]:
    """(device, whether XLA compiles) to compare with operations on the processor.

    A GPU with and without XLA. Where there is no GPU, the processor with XLA: other code and
    another order of sums, so that the comparisons still say something.
    """
    return [("GPU:0", False), ("GPU:0", True)] if gpus() else [(PROCESSOR, True)]


def plain_backends() -> list[tuple[str, bool]]:
    """The same for what XLA cannot compile: a GPU, or the processor running a graph."""
    return [("GPU:0" if gpus() else PROCESSOR, False)]


def run_eagerly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of tensors one operation at a time on the processor; numpy arrays."""
    with tf.device(PROCESSOR):
        copies = tf.nest.map_structure(tf.identity, arguments)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), function(*copies))


def run_on(device: str, xla: bool, function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of tensors, as a graph on a device; numpy arrays in the same structure."""
    with tf.device(device):
        copies = tf.nest.map_structure(tf.identity, arguments)
        graph = tf.function(function, jit_compile=xla, autograph=False)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), graph(*copies))
