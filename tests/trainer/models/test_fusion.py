"""The network over all pictures of a product."""

import keras
import numpy as np
import pytest

from trainer.models.fusion import build_fusion, features_of
from trainer.models.fusion_table import JOINS
from trainer.models.networks import ModelError

RNG = np.random.default_rng(0)


def network(join="gated", units=8):
    return build_fusion(5, 6, units=units, join=join, dropout=0.5, seed=1)


def logits(model, features, mask):
    inputs = {"features": np.asarray(features, np.float32), "mask": np.asarray(mask)}
    return keras.ops.convert_to_numpy(model(inputs, training=False))


@pytest.mark.parametrize("join", JOINS)
def test_a_prediction_depends_on_the_pictures_that_are_there_alone(join):
    model, features = network(join), RNG.normal(size=[1, 4, 5])
    mask = [[True, False, True, False]]
    expected = logits(model, features, mask)
    changed = features.copy()
    changed[:, [1, 3]] = 1e6
    np.testing.assert_array_equal(logits(model, changed, mask), expected)
    alone = logits(model, features[:, [0, 2]], [[True, True]])
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    in_other_order = logits(model, features[:, ::-1], [[False, True, False, True]])
    np.testing.assert_allclose(in_other_order, expected, atol=1e-5)
    other = logits(model, features, [[True, True, True, False]])
    assert np.abs(other - expected).max() > 1e-3


@pytest.mark.parametrize("join", JOINS)
def test_equal_pictures_are_as_good_as_one(join):
    model, feature = network(join), RNG.normal(size=[1, 1, 5])
    four = np.repeat(feature, 4, axis=1)
    np.testing.assert_allclose(
        logits(model, four, np.ones([1, 4], bool)), logits(model, feature, [[True]]), atol=1e-5
    )


def test_each_feature_is_normalised_over_the_pictures_that_are_there():
    model, features = network(), RNG.normal(size=[20, 3, 5]) * [1, 1, 1, 50, 50] + 7
    mask = RNG.random([20, 3]) < 0.7
    features[~mask] = 1e6
    inputs = {"features": features.astype(np.float32), "mask": mask}
    for _ in range(80):
        model(inputs, training=True)
    norm = model.get_layer("normalised")
    np.testing.assert_allclose(norm.moving_mean, features[mask].mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(norm.moving_variance, features[mask].var(axis=0), rtol=1e-3)


def test_two_builds_are_equal_and_float32_under_any_policy():
    first = network().get_weights()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network()
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("pictures").compute_dtype == "float32"
    for one, other in zip(first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_of_a_picture_and_its_mirror_image():
    pictures = keras.Input((2, 2, 3), dtype="uint8")
    base = keras.Model(pictures, keras.layers.Flatten()(keras.ops.cast(pictures, "float32")))
    images = RNG.integers(0, 256, [3, 2, 2, 3]).astype(np.uint8)
    plain = images.reshape(3, -1).astype(np.float32)
    mirrored = images[:, :, ::-1].reshape(3, -1).astype(np.float32)
    np.testing.assert_array_equal(features_of(base, images, False), plain)
    np.testing.assert_array_equal(features_of(base, images, True), (plain + mirrored) / 2)


def test_errors():
    with pytest.raises(ModelError, match="`join` must be one of gated, max. Received: 'sum'"):
        network("sum")
    with pytest.raises(ModelError, match="must be a multiple of 4, one share .* Received: 6"):
        network(units=6)
    network("max", units=6)
