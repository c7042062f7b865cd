"""New BatchNorm statistics for the weights that are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.thread_workers import together
from trainer.models import batch_norms
from trainer.training.recalibration import recalibrated

BATCHES = np.random.default_rng(0).normal(3, 2, [4, 16, 5]).astype(np.float32)


def build() -> keras.Model:
    """A BatchNorm within a network within the network, and dropout."""
    inner = keras.Sequential(
        [keras.Input([5]), keras.layers.BatchNormalization(name="norm", momentum=0.9)], name="inner"
    )
    inputs = keras.Input([5])
    return keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(inner(inputs)))


@pytest.fixture
def model() -> keras.Model:
    return build()


def dataset() -> tf.data.Dataset:
    labels = np.zeros([4, 16], np.int32)
    return tf.data.Dataset.from_tensor_slices((BATCHES, labels))


def nothing() -> None:
    pass


def test_the_statistics_are_the_batches_mean_ones(model):
    [norm] = batch_norms.batch_norms(model)
    with recalibrated(model, dataset(), nothing):
        np.testing.assert_allclose(norm.moving_mean, BATCHES.mean(axis=1).mean(0), rtol=1e-5)
        np.testing.assert_allclose(norm.moving_variance, BATCHES.var(axis=1).mean(0), rtol=1e-4)
        assert norm.momentum == 0.9


def test_workers_have_the_means_over_all_their_batches():
    models = [build(), build()]

    def do(workers):
        own = dataset().shard(2, workers.this.index)
        [norm] = batch_norms.batch_norms(models[workers.this.index])
        with recalibrated(models[workers.this.index], own, nothing, workers):
            return norm.moving_mean.numpy(), norm.moving_variance.numpy()

    for mean, variance in together(2, do):
        np.testing.assert_allclose(mean, BATCHES.mean(axis=1).mean(0), rtol=1e-5)
        np.testing.assert_allclose(variance, BATCHES.var(axis=1).mean(0), rtol=1e-4)


def test_everything_is_as_before_afterwards(model):
    before = [variable.numpy() for variable in model.variables]
    with recalibrated(model, dataset(), nothing):
        assert any(
            not np.array_equal(variable, value)
            for variable, value in zip(model.variables, before, strict=True)
        )
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_so_it_is_after_a_stop(model):
    before = [variable.numpy() for variable in model.variables]

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), recalibrated(model, dataset(), stop):
        raise AssertionError("the block must not begin")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert [norm.momentum for norm in batch_norms.batch_norms(model)] == [0.9]


def test_frozen_statistics_stay(model):
    batch_norms.freeze(model)
    before = [variable.numpy() for variable in model.variables]
    with recalibrated(model, dataset(), nothing):
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)


def test_the_momentum_of_all_batch_norms(model):
    batch_norms.set_momentum(model, 0.5)
    model(BATCHES[0], training=True)
    [norm] = batch_norms.batch_norms(model)
    np.testing.assert_allclose(norm.moving_mean, BATCHES[0].mean(0) / 2, rtol=1e-4)
