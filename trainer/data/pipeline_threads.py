"""Which threads run the input, and how they share the processor with the network.

Where the network runs on the processor too, the input's threads step back for it: each parallel
stretch of a layer waits for its slowest thread, so one core that decodes a picture meanwhile holds
up all, and training lost two to three times what the decoding took. Threads of low priority run
while a core has nothing else to do, and there is always such a time: at the latest when the network
waits for pictures.
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

# A thirtieth of the usual share of a core that others want as well: with all cores taken by other
# programs still some hundred pictures a second each, more than a network needs that trains on them.
NICENESS = 15
# Which thread of the pool handles a batch is chance: after so many batches a core, all had some.
_BATCHES_A_CORE = 16


def pipeline_options() -> tf.data.Options:
    """The options of every pipeline.

    No autotuning: what it would tune is chosen here, and at the end of a pipeline its thread may
    miss that it is no longer wanted (TensorFlow 2.21). It is waited for until it looks again by
    itself: seconds, up to a minute in a long epoch.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    if input_steps_back():
        options.threading.private_threadpool_size = num_cores()
    return options


def input_steps_back() -> bool:
    """Whether it does: on Linux, where a thread has a priority of its own, and without a GPU."""
    return sys.platform == "linux" and not tf.config.list_physical_devices("GPU")


def step_back(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches; the threads that make them get a low priority.

    They must be the pipeline's own, as `pipeline_options` has it.
    """
    if not input_steps_back():
        return batches
    first = _BATCHES_A_CORE * num_cores()

    def pass_on(number: tf.Tensor, element: Any) -> Any:
        lowered = tf.cond(
            number < first,
            lambda: tf.numpy_function(_lower_this_thread, [], tf.bool),
            lambda: tf.constant(True),
        )
        with tf.control_dependencies([lowered]):
            return tf.nest.map_structure(tf.identity, element)

    return batches.enumerate().map(pass_on)


def _lower_this_thread() -> np.bool_:
    thread = threading.get_native_id()
    with contextlib.suppress(PermissionError):  # a sandbox may forbid it: it stays as it is
        if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
    return np.bool_(True)
