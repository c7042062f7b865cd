"""The input's threads and their priority: others' stay as they are, batches too."""

import os
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import pipeline_threads
from trainer.data.pipeline_threads import (
    NICENESS,
    lowers_priority,
    pipeline_options,
    with_low_priority,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority here")


def niceness():
    """{thread of this process: its niceness}"""
    return {
        int(thread): os.getpriority(os.PRIO_PROCESS, int(thread))
        for thread in os.listdir("/proc/self/task")
    }


def batches():
    """Elements as the pipelines have them: (jpegs, labels, arguments)."""
    numbers = tf.data.Dataset.range(100)
    return numbers.map(lambda n: (tf.fill([2], "jpeg"), tf.fill([2], n), (n < 50,)))


def test_its_own_threads_step_back_and_no_other():
    tf.matmul(tf.ones([64, 64]), tf.ones([64, 64]))  # the network's threads
    before = niceness()
    iterator = iter(with_low_priority(batches()).prefetch(1).with_options(pipeline_options()))
    for _ in iterator:
        pass
    after = niceness()
    lowered = {thread for thread, level in after.items() if level == NICENESS}
    assert lowered and not lowered & set(before)
    assert {thread: after[thread] for thread in before if thread in after}.items() <= before.items()


def test_the_same_batches():
    ours, plain = (
        list(dataset.as_numpy_iterator()) for dataset in (with_low_priority(batches()), batches())
    )
    assert len(ours) == len(plain)
    for left, right in zip(ours, plain):
        for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right)):
            assert np.array_equal(a, b)
    assert with_low_priority(batches()).element_spec == batches().element_spec


def test_a_lower_priority_is_left(monkeypatch):
    monkeypatch.setattr(os, "getpriority", lambda *_: NICENESS + 1)
    monkeypatch.setattr(os, "setpriority", lambda *_: pytest.fail("raised"))
    assert pipeline_threads.lower_this_thread()


def test_a_sandbox_may_forbid_it(monkeypatch):
    def forbid(*_):
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    assert len(list(with_low_priority(batches()))) == 100


def test_beside_a_gpu_no_priority_is_lowered(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    assert not lowers_priority()
    dataset = batches()
    assert with_low_priority(dataset) is dataset
    assert pipeline_options().threading.private_threadpool_size is None


def test_the_end_of_a_pipeline_is_not_waited_for():
    """TensorFlow's tuning thread, if there is one, is woken up late once in a while."""
    for _ in range(5):
        dataset = batches().map(lambda *element: element, num_parallel_calls=2)
        iterator = iter(dataset.prefetch(1).with_options(pipeline_options()))
        for _ in iterator:
            pass
        started = time.monotonic()
        del iterator
        assert time.monotonic() - started < 5
    assert not pipeline_options().autotune.enabled
