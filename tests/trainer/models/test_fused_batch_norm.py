"""The fused BatchNorm gives what Keras's gives, and files of weights fit both."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models.batch_norms import batch_norms
from trainer.models.fused_batch_norm import BatchNormalization, fuse_batch_norms

SHAPES = [(4, 6, 5, 3), (1, 1, 1, 3), (7, 3)]


def layers(**settings):
    return BatchNormalization(**settings), keras.layers.BatchNormalization(**settings)


def run(layer, inputs, training):
    """Outputs, gradients of input and weights, and the moving statistics afterwards."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
    gradients = tape.gradient(loss, [inputs, *[one.value for one in layer.trainable_variables]])
    values = [outputs, *gradients, layer.moving_mean, layer.moving_variance]
    return [np.asarray(tf.cast(value, tf.float32)) for value in values]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "settings",
    [{}, {"scale": False}, {"center": False}, {"epsilon": 2e-5, "momentum": 0.5}, {"epsilon": 0.0}],
)
def test_outputs_gradients_and_statistics_are_keras_own(shape, training, settings):
    inputs = tf.constant(np.random.default_rng(0).normal(2, 3, shape), tf.float32)
    fused, plain = layers(**settings)
    fused.build(shape), plain.build(shape)
    weights = np.random.default_rng(1)
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        value = weights.uniform(0.5, 2, ours.shape)
        ours.assign(value), theirs.assign(value)
    if shape == (1, 1, 1, 3) and settings == {"epsilon": 0.0} and training:
        pytest.skip("one value has no variance to divide by")
    for ours, theirs in zip(
        run(fused, inputs, training), run(plain, inputs, training), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


def test_training_uses_the_fused_operation_and_keras_own_has_none():
    def operations(layer):
        layer.build((None, 4, 4, 3))
        graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
            tf.TensorSpec((None, 4, 4, 3))
        )
        return {operation.type for operation in graph.graph.get_operations()}

    fused, plain = layers()
    assert "FusedBatchNormV3" in operations(fused)
    assert "FusedBatchNormV3" not in operations(plain)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_16_bits_are_normalized_without_overflow(policy):
    inputs = np.random.default_rng(0).normal(1000, 300, (8, 5, 5, 2)).astype(np.float32)
    fused, plain = layers(dtype=policy)
    ours, theirs = (
        np.asarray(tf.cast(layer(inputs, training=True), tf.float32)) for layer in (fused, plain)
    )
    np.testing.assert_allclose(ours, theirs, atol=0.05)
    np.testing.assert_allclose(fused.moving_variance, plain.moving_variance, rtol=0.02)


def test_a_frozen_one_keeps_its_statistics_in_training():
    fused, _ = layers()
    fused.build((None, 4, 4, 3))
    fused.trainable = False
    fused(np.ones((2, 4, 4, 3), np.float32), training=True)
    np.testing.assert_array_equal(fused.moving_mean, np.zeros(3))


def _network():
    pictures = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(pictures)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Add(name="sum")([x, keras.layers.ReLU(6.0, name="relu")(x)])
    return keras.Model(pictures, x, name="base")


def test_a_network_keeps_its_layers_and_its_files_of_weights(tmp_path):
    plain = _network()
    fused = fuse_batch_norms(_network())
    assert [type(layer) for layer in batch_norms(fused)] == [BatchNormalization]
    assert [one.path for one in fused.weights] == [one.path for one in plain.weights]
    assert fused.name == plain.name
    for suffix in ("one.weights.h5", "two.weights.h5"):
        source, target = (plain, fused) if suffix.startswith("one") else (fused, plain)
        for variable in source.weights:
            variable.assign(np.random.default_rng(2).uniform(1, 2, variable.shape))
        source.save_weights(tmp_path / suffix)
        target.load_weights(tmp_path / suffix)
        pictures = np.random.default_rng(3).normal(size=(2, 8, 8, 3)).astype(np.float32)
        np.testing.assert_array_equal(source(pictures), target(pictures))
