import keras
import numpy as np
import pytest
from keras import layers

from tests.helpers import tiny_pretrained
from trainer.models import networks as models
from trainer.models.layer_groups import layer_groups, variable_groups


@pytest.fixture(autouse=True)
def _clear():
    yield
    keras.backend.clear_session()


def _base():
    """stem, two blocks of which the second has an addition, and a top."""
    x = pictures = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(x)
    block = x = layers.Conv2D(4, 3, padding="same", name="block1_conv")(x)
    x = layers.Conv2D(4, 3, padding="same", name="block2_conv")(x)
    x = layers.BatchNormalization(name="block2_bn")(x)
    x = layers.Add(name="block2_add")([x, block])
    x = layers.Conv2D(4, 1, name="top")(x)
    return keras.Model(pictures, layers.ReLU(name="relu")(x), name="base")


def _names(groups):
    return [[layer.name for layer in group] for group in groups]


def test_a_group_ends_at_the_named_layers():
    base = _base()
    pictures = base.layers[0].name
    assert _names(layer_groups(base, r"stem|block\d_(conv|bn|add)")) == [
        [pictures, "stem"],
        ["block1_conv"],
        ["block2_conv", "block2_bn", "block2_add"],  # a BatchNorm and an addition are no groups
        ["top", "relu"],
    ]
    # The whole name: `block1_conv` is none of `block`.
    assert _names(layer_groups(base, "block")) == [[layer.name for layer in base.layers]]


def test_layers_before_the_first_weights_are_in_the_first_group():
    base = _base()
    pictures = base.layers[0].name
    assert _names(layer_groups(base, f"{pictures}|stem"))[0] == [pictures, "stem"]


def test_the_top_blocks_of_inception_are_its_layers_from_the_249th():
    """As in keras.io's fine-tuning example: "we will freeze the first 249 layers"."""
    model = models.build_model("inception", 3, image_size=75, weights="none")
    base = model.get_layer("base")
    groups = layer_groups(base, models.MODELS["inception"].base.group_ends)
    top = [layer for group in groups[-2:] for layer in group]
    assert _names([top]) == _names([base.layers[249:]])
    models.set_trainable(model, "top_blocks")
    trained = {layer.name for layer in base.layers if layer.trainable}
    assert trained == {
        layer.name
        for layer in base.layers[249:]
        if not isinstance(layer, keras.layers.BatchNormalization)
    }
    # mixed0, with the stem, to mixed10.
    assert len(groups) == 11
    assert len(variable_groups(model)) == 3


def test_variables_are_grouped_from_stem_to_top(monkeypatch):
    tiny_pretrained.add_to_models(monkeypatch)
    model = models.build_model(tiny_pretrained.NAME, 3, image_size=16, weights="none")
    stem, head = variable_groups(model)
    assert [variable.path for variable in stem] == [
        variable.path for variable in model.get_layer("base").trainable_variables
    ]
    assert [variable.path for variable in head] == [
        *("dense_1/kernel", "dense_1/bias", "classes/kernel", "classes/bias")
    ]


def test_frozen_variables_are_in_no_group(monkeypatch):
    tiny_pretrained.add_to_models(monkeypatch)
    model = models.build_model(tiny_pretrained.NAME, 3, image_size=16, weights="none")
    head = variable_groups(model)[-1]
    models.set_trainable(model, "head")
    assert variable_groups(model) == [head]


def test_each_layer_of_a_network_without_a_base_is_a_group():
    model = models.build_model("cnn_small", 3, image_size=32)
    paths = [[variable.path for variable in group] for group in variable_groups(model)]
    names = ("conv_1", "conv_2", "dense_1", "dense_2", "classes")
    assert paths == [[f"{name}/kernel", f"{name}/bias"] for name in names]
    assert sum(np.prod(v.shape) for group in variable_groups(model) for v in group) == (
        model.count_params()
    )
