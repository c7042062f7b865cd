"""The threads of the input pipelines, and how they share the CPU with the network.

On CPU-only machines, input threads run at low priority so they do not slow training. Each parallel
section of a layer waits for its slowest thread, so a core that decodes a picture holds up all the
others: training lost two to three times as much time as decoding took. Low-priority threads run
when a core is idle, at the latest when the network waits for pictures.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Any

import numpy as np
import tensorflow as tf

from cdisc_tfds.machine import num_cores

# About 1/30 of the usual share of a contended core. Even if other programs use all cores, each core
# still decodes some hundred pictures per second, more than a network can train on there.
NICENESS = 15
# Batches go to random threads of the pool; after this many per core, every thread has had one.
_BATCHES_PER_CORE = 16


def pipeline_options() -> tf.data.Options:
    """The options of every pipeline.

    Autotuning is off, because everything it tunes is set here. Also, when a pipeline ends, the
    autotuning thread may miss the signal to stop (TensorFlow 2.21). The pipeline then waits until
    the thread wakes up by itself: seconds, or up to a minute in a long epoch.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    if lowers_priority():
        options.threading.private_threadpool_size = num_cores()
    return options


def lowers_priority() -> bool:
    """Whether input threads get a low priority: on Linux without a GPU.

    Linux threads have priorities of their own.
    """
    return sys.platform == "linux" and not tf.config.list_physical_devices("GPU")


def with_low_priority(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the same batches, produced by threads with a low priority.

    The pipeline must have threads of its own, which `pipeline_options` gives it.
    """
    if not lowers_priority():
        return batches
    first = _BATCHES_PER_CORE * num_cores()

    def pass_on(number: tf.Tensor, element: Any) -> Any:
        lowered = tf.cond(
            number < first,
            lambda: tf.numpy_function(lower_this_thread, [], tf.bool),
            lambda: tf.constant(True),
        )
        with tf.control_dependencies([lowered]):
            return tf.nest.map_structure(tf.identity, element)

    return batches.enumerate().map(pass_on)


def lower_this_thread() -> np.bool_:
    """Gives the calling thread a low priority; returns True."""
    thread = threading.get_native_id()
    with contextlib.suppress(PermissionError):  # a sandbox may forbid it; keep the priority
        if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
    return np.bool_(True)
