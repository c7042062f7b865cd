"""Two devices give what one gives. The devices are the processor twice, in a process of its own."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.finished_runs import assert_same_run, weights_of
from tests.helpers.programs import run_program
from trainer.data.lanes import Worker
from trainer.runs.folder import RunFolder
from trainer.training.devices import choose_strategy, even_batches, share_of_batches


def test_without_several_gpus_the_default_strategy_trains():
    for names in (None, [], ["CPU:0"]):
        assert choose_strategy(names) is tf.distribute.get_strategy()


def batches(size: int, batch: int) -> tf.data.Dataset:
    inputs = tf.reshape(tf.range(2 * size, dtype=tf.float32), [size, 2])
    return tf.data.Dataset.from_tensor_slices((inputs, tf.range(size))).batch(batch)


def test_one_device_gets_the_batches_as_they_are():
    dataset = batches(10, 4)
    assert even_batches(dataset, 1) is dataset


def test_inputs_may_be_several_tensors():
    def named(inputs, labels):
        return {"features": inputs, "mask": inputs[:, 0] > 3}, labels

    ((inputs, labels, weights),) = even_batches(batches(5, 5).map(named), 2)
    np.testing.assert_array_equal(labels, [0, 1, 2, 3, 4, 0])
    np.testing.assert_array_equal(inputs["features"][:, 1], [1, 3, 5, 7, 9, 1])
    np.testing.assert_array_equal(inputs["mask"], [False, False, True, True, True, False])
    np.testing.assert_allclose(weights, [1.2] * 5 + [0])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_workers_share_the_batches_that_all_have(count):
    """Side by side, their shares are the filled batches, or the batches of one worker."""
    whole = batches(13, 6)
    shares = [
        list(share_of_batches(whole, Worker(index, count)).as_numpy_iterator())
        for index in range(count)
    ]
    expected = list(even_batches(whole, count).as_numpy_iterator())
    for number, batch in enumerate(expected):
        for place, tensor in enumerate(batch):
            parts = [share[number][place] for share in shares]
            assert len({len(part) for part in parts}) == 1
            np.testing.assert_array_equal(np.concatenate(parts), tensor)


@pytest.mark.parametrize("replicas", [2, 3, 4, 7])
@pytest.mark.parametrize("size", [1, 2, 5, 12, 13])
def test_every_device_gets_as_many_and_each_picture_weighs_the_same(size, replicas):
    """As Keras reckons: the mean over the devices of each one's sum over its number."""
    expected = list(batches(size, 6).as_numpy_iterator())
    even = even_batches(batches(size, 6), replicas)
    assert len(even) == len(expected)
    for (inputs, labels, weights), (plain_inputs, plain_labels) in zip(
        even.as_numpy_iterator(), expected, strict=True
    ):
        assert len(inputs) == len(labels) == len(weights)
        assert len(labels) % replicas == 0 and len(labels) < len(plain_labels) + replicas
        real = weights > 0
        np.testing.assert_array_equal(inputs[real], plain_inputs)
        np.testing.assert_array_equal(labels[real], plain_labels)
        losses = (labels**2).astype(np.float32)
        shares = [
            (part * weight).mean()
            for part, weight in zip(
                np.split(losses, replicas), np.split(weights, replicas), strict=True
            )
        ]
        np.testing.assert_allclose(np.mean(shares), (plain_labels**2).mean(), rtol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("two_devices")
    run_program("two_devices", folder)
    return folder


@pytest.fixture(scope="module")
def seen(folder) -> dict:
    return json.loads((folder / "seen.json").read_text())


def test_two_devices_share_the_work(seen):
    assert seen["replicas"] == 2
    assert seen["alone"] == "_DefaultDistributionStrategy"


def test_two_devices_learn_what_one_learns(folder, seen):
    """Batches of 7, and a last one of 1: neither can be shared equally."""
    assert seen["last_batch"] == 1
    one, two = RunFolder(folder / "one"), RunFolder(folder / "two")
    for name, ours in weights_of(one, one.state.last).items():
        theirs = weights_of(two, two.state.last)[name]  # averaged ones
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-6, err_msg=name)
    for row, other in zip(one.history, two.history, strict=True):
        for name in ("val_loss", "val_accuracy", "val_product_accuracy", "learning_rate"):
            assert getattr(other, name) == pytest.approx(getattr(row, name), rel=1e-5), name
        # The last batch of 1 counts as 2 of 156 pictures in these means.
        assert other.loss == pytest.approx(row.loss, rel=5e-3)
        assert other.accuracy == pytest.approx(row.accuracy, abs=0.02)


def test_a_run_killed_on_two_devices_ends_bit_for_bit(folder):
    assert_same_run(RunFolder(folder / "resumed"), RunFolder(folder / "whole"))


def test_one_devices_bad_step_is_found(seen):
    """-1 while all is well; the third step is the first bad one; none after a reset."""
    assert seen["first_nonfinite_steps"] == [-1, -1, 2, 2, -1]
