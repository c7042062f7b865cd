"""What holds for each pretrained network, whatever module builds it."""

import keras
import numpy as np
import pytest

from tests.helpers.pretrained_networks import each, is_norm
from trainer.models import networks as models
from trainer.models.layer_groups import layer_groups, variable_groups


@pytest.fixture(autouse=True)
def _clear():
    yield
    keras.config.set_dtype_policy("float32")
    keras.backend.clear_session()


@each()
def test_each_pretrained_network_has_groups_and_takes_a_step(name):
    entry = models.MODELS[name]
    size = entry.min_image_size
    model = models.build_model(name, 3, image_size=size, weights="none")
    base = model.get_layer("base")
    groups = layer_groups(base, entry.base.group_ends)
    assert [layer for group in groups for layer in group] == base.layers
    _check_groups(model)
    _check_top_blocks(model, groups)
    models.set_trainable(model, "all")
    _check_step(model, size)


def _check_groups(model):
    groups = variable_groups(model)
    assert len(groups) >= 3
    grouped = [id(variable) for group in groups for variable in group]
    assert len(set(grouped)) == len(grouped)
    assert set(grouped) == {id(variable) for variable in model.trainable_variables}
    base = {id(variable) for variable in model.get_layer("base").variables}
    assert [{id(variable) for variable in group} <= base for group in groups] == [
        *(True for _ in groups[:-1]),
        False,
    ]
    assert not base & {id(variable) for variable in groups[-1]}


def _check_top_blocks(model, groups):
    models.set_trainable(model, "top_blocks")
    trained = {layer.name for layer in model.get_layer("base").layers if layer.trainable}
    assert trained == {layer.name for group in groups[-2:] for layer in group if not is_norm(layer)}
    assert len(variable_groups(model)) == 3  # two groups, and the new layers


def _check_step(model, size):
    """In eager mode: tracing the largest ones takes a minute."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    groups = variable_groups(model)
    before = [[variable.numpy() for variable in group] for group in groups]
    pictures = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    # Of four: a block that is dropped at random for all of them would not train.
    model.train_on_batch(pictures, np.array([0, 2, 1, 1]))
    for group, values in zip(groups, before, strict=True):
        assert any(not np.array_equal(variable, old) for variable, old in zip(group, values))
    logits = model(pictures)
    assert (logits.shape, logits.dtype) == ((4, 3), "float32")
    assert np.isfinite(logits).all()


def test_pretrained_networks_end_in_pooling_dropout_and_one_dense_layer():
    model = models.build_model("mobilenet", 3, image_size=32, weights="none")
    assert [layer.name for layer in model.layers] == [
        *("pictures", "scale", "base", "features", "dropout_1", "classes", "logits")
    ]
    assert model.get_layer("dropout_1").rate == 0.2
    other = models.build_model("mobilenet", 3, image_size=32, weights="none", dropout=0.0)
    assert other.get_layer("dropout_1").rate == 0.0


@pytest.mark.parametrize("name", ["resnet50", "inception_v3"])
def test_a_given_range_replaces_the_networks_own_scaling(name):
    pictures = keras.Input((1, 256, 3), dtype="uint8")
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 1, 256, 3)
    pixels[..., 1:] = 0
    network = keras.Model(pictures, models.scaled(pictures, (0.0, 255.0)))
    np.testing.assert_array_equal(network(pixels), pixels.astype(np.float32))  # also RGB
    assert models.resolve_input_range(name, "none", (0.0, 255.0)) == (0.0, 255.0)
    own = {"resnet50": None, "inception_v3": (-1.0, 1.0)}
    assert models.resolve_input_range(name, "none") == own[name]
