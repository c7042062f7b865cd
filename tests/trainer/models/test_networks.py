import keras
import numpy as np
import pytest

from trainer.models import networks as models

# The published facts: classes, parameters, and the shapes after each layer, by hand from the
# kernels: a valid convolution of k leaves n-k+1 places (with stride 2 half, rounded up), a pooling
# half, rounded down.
STUDY = {
    "solution1_1": (
        49,
        458_669,
        {"conv_1": (89, 89, 80), "pool_1": (44, 44, 80), "conv_2": (43, 43, 60)}
        | {"pool_2": (21, 21, 60), "dense_1": (21, 21, 40), "dense_2": (21, 21, 20)}
        | {"features": (8820,), "logits": (49,)},
    ),
    "solution1_2": (
        49,
        491_729,
        {"conv_1": (177, 177, 100), "pool_1": (88, 88, 100), "conv_2": (87, 87, 80)}
        | {"pool_2": (43, 43, 80), "conv_3": (42, 42, 60), "pool_3": (21, 21, 60)}
        | {"dense_1": (21, 21, 40), "dense_2": (21, 21, 20), "features": (8820,)}
        | {"logits": (49,)},
    ),
    "cnn": (
        5270,
        46_546_170,
        {"conv_1": (177, 177, 100), "pool_1": (88, 88, 100), "conv_2": (87, 87, 80)}
        | {"pool_2": (43, 43, 80), "conv_3": (42, 42, 60), "pool_3": (21, 21, 60)}
        | {"dense_1": (21, 21, 40), "dense_2": (21, 21, 20), "features": (8820,)}
        | {"logits": (5270,)},
    ),
    "cnn_small": (
        5270,
        97_459_800,
        {"conv_1": (177, 177, 64), "pool_1": (88, 88, 64), "conv_2": (87, 87, 32)}
        | {"pool_2": (43, 43, 32), "dense_1": (43, 43, 20), "dense_2": (43, 43, 10)}
        | {"features": (18490,), "logits": (5270,)},
    ),
    # keras.io's example: 21,802,784 of the base, 2048*1024+1024, 1024*5270+5270.
    "inception": (
        5270,
        29_302_710,
        {"base": (4, 4, 2048), "features": (2048,), "dense_1": (1024,), "logits": (5270,)},
    ),
    # 36*36*3 inputs: 3888*5270+5270.
    "logistic": (
        5270,
        20_495_030,
        {"thumbnail": (36, 36, 3), "features": (3888,), "logits": (5270,)},
    ),
}


@pytest.fixture(autouse=True)
def _policy():
    yield
    keras.config.set_dtype_policy("float32")
    keras.backend.clear_session()


def _pictures(count=2, size=80):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("name", STUDY)
def test_each_network_is_the_published_one(name):
    num_classes, parameters, shapes = STUDY[name]
    model = models.build_model(name, num_classes, weights="none")
    assert model.input_shape == (None, 180, 180, 3)
    assert model.input.dtype == "uint8"
    assert model.count_params() == parameters
    assert {layer: model.get_layer(layer).output.shape[1:] for layer in shapes} == shapes
    assert model.layers[-1].name == "logits"


@pytest.mark.parametrize("name", ["cnn", "cnn_small", "solution1_1"])
def test_convolutions_are_followed_by_dropout_then_pooling(name):
    order = [layer.name.split("_")[0] for layer in models.build_model(name, 3).layers]
    convolutions = order.count("conv")
    assert order == [
        *("pictures", "scale"),
        *("conv", "dropout", "pool") * convolutions,
        *("dense", "dense", "features", "classes", "logits"),
    ]
    for layer in models.build_model(name, 3).layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert (layer.padding, layer.activation.__name__) == ("valid", "relu")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", [name for name in STUDY if name != "inception"])
def test_each_network_learns_from_uint8_and_gives_float32_logits(name, policy):
    _check_learning(name, policy)


def test_inception_learns_from_uint8_and_gives_float32_logits():
    _check_learning("inception", "mixed_bfloat16")  # once: InceptionV3 takes 10 s to trace


def _check_learning(name, policy):
    keras.config.set_dtype_policy(policy)
    model = models.build_model(name, 3, image_size=80, weights="none")
    _compile(model)
    before = [weight.numpy() for weight in model.weights]
    model.train_on_batch(_pictures(), np.array([0, 2]))
    unchanged = [
        weight.path
        for old, weight in zip(before, model.weights, strict=True)
        if weight.trainable and np.array_equal(old, weight)
    ]
    assert unchanged == []
    logits = model(_pictures())
    assert logits.shape == (2, 3)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


def _compile(model):
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def test_the_seed_alone_decides_weights_and_dropout():
    def train(seed):
        keras.backend.clear_session()  # other layer names give other orders of summation
        model = models.build_model("cnn", 3, image_size=32, dropout=0.5, seed=seed)
        _compile(model)
        model.train_on_batch(_pictures(size=32), np.array([0, 2]))
        return model.get_weights()

    first, again, other = train(1), train(1), train(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_seed_decides_the_weights_of_a_base_too():
    first, again = (
        models.build_model("inception", 3, image_size=80, weights="none", seed=1).get_weights()
        for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("cnn", None, (0.0, 1.0)),
        ("inception", None, (-1.0, 1.0)),
        ("inception", (0.0, 1.0), (0.0, 1.0)),
        ("cnn", (-1.0, 1.0), (-1.0, 1.0)),
    ],
)
def test_pixels_are_scaled_to_the_networks_range(name, given, expected):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.build_model(name, 3, image_size=80, input_range=given, weights="none")
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 1, 256, 3)
    scaled = model.get_layer("scale")(pixels).numpy()
    low, high = expected
    np.testing.assert_allclose(
        scaled[0, 0, :, 0], np.linspace(low, high, 256), atol=1e-6
    )  # the policy's 16 bits would be off by up to 0.004
    assert models.resolve_input_range(name, "none", given) == expected


@pytest.mark.parametrize(
    ("name", "size"),
    [("cnn", 16), ("cnn_small", 8), ("solution1_1", 13), ("inception", 74), ("logistic", 0)],
)
def test_too_small_pictures_are_refused_and_one_pixel_more_is_enough(name, size):
    with pytest.raises(
        models.ModelError,
        match=f"'{name}' needs pictures of at least {size + 1} pixels a side. Received: "
        f"image_size={size}",
    ):
        models.build_model(name, 3, image_size=size, weights="none")
    assert models.build_model(name, 3, image_size=size + 1, weights="none").count_params() > 0


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(
        models.ModelError,
        match="`model` must be one of cnn, cnn_small, inception, logistic, solution1_1, "
        "solution1_2, .*, xception. Received: 'resnet'",
    ):
        models.build_model("resnet", 3)


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("cnn", 1.0, "The dropout of 'cnn' must be at least 0 and below 1. Received: dropout=1.0"),
        ("logistic", 0.1, "The dropout of 'logistic' is not for it. Received: dropout=0.1"),
    ],
)
def test_impossible_dropout_is_refused(name, rate, message):
    with pytest.raises(models.ModelError, match=message):
        models.build_model(name, 3, dropout=rate)


def test_dropout_is_the_rate_asked_for():
    model = models.build_model("cnn", 3, image_size=32, dropout=0.4)
    assert model.get_layer("dropout_2").rate == 0.4


def test_weights_for_a_network_that_has_none_are_refused():
    with pytest.raises(
        models.ModelError,
        match="`weights` is for a network with a pretrained part; 'cnn' has none. Received: "
        "weights=imagenet. Leave it out, or choose another model, such as efficientnet_lite2.",
    ):
        models.build_model("cnn", 3, weights="imagenet")


# Parts.


def _inception():
    """A small one, and the names of its new layers, convolutions, BatchNorms and top blocks."""
    model = models.build_model("inception", 3, image_size=80, weights="none")
    base = model.get_layer("base").layers
    convolutions = {layer.name for layer in base if isinstance(layer, keras.layers.Conv2D)}
    norms = {layer.name for layer in base if isinstance(layer, keras.layers.BatchNormalization)}
    # Both blocks on top of the concatenation `mixed8`, of nine convolutions each.
    assert base[248].name == "mixed8"
    top = {layer.name for layer in base[249:]} & convolutions
    assert len(top) == 18
    return model, {"dense_1", "classes"}, convolutions, norms, top


def _layer_of(weight):
    """`base/conv2d_3/kernel` -> `conv2d_3`."""
    return weight.path.split("/")[-2]


def test_any_part_can_follow_any_other():
    model, head, convolutions, norms, top = _inception()
    expected = {
        "head": head,
        "top_blocks": head | top,
        "all": head | convolutions | norms,
    }
    order = ["all", "head", "top_blocks", "head", "all", "top_blocks", "all"]
    for part in order:
        models.set_trainable(model, part)
        assert {_layer_of(weight) for weight in model.trainable_weights} == expected[part], part


def test_training_the_top_blocks_leaves_the_rest_and_every_batchnorm_as_it_was():
    model, head, _, _, top = _inception()
    models.set_trainable(model, "top_blocks")
    _compile(model)
    before = {weight.path: weight.numpy() for weight in model.weights}
    model.train_on_batch(_pictures(4), np.array([0, 2, 1, 1]))
    changed = {
        _layer_of(weight)
        for weight in model.weights
        if not np.array_equal(before[weight.path], weight)
    }
    assert changed - {"dropout_1"} == head | top


@pytest.mark.parametrize(
    ("name", "part", "allowed"),
    [("inception", "staged", "head, top_blocks, all"), ("cnn", "head", "all")],
)
def test_parts_that_a_network_lacks_are_refused(name, part, allowed):
    model = models.build_model(name, 3, image_size=80, weights="none")
    with pytest.raises(
        models.ModelError,
        match=f"part of '{name}' to train must be one of {allowed}. Received: '{part}'",
    ):
        models.set_trainable(model, part)


def test_a_network_without_a_base_has_all_its_layers_trained():
    model = models.build_model("cnn", 3, image_size=32)
    models.set_trainable(model, "all")
    assert len(model.trainable_weights) == len(model.weights)


def test_features_then_head_equal_the_whole_network_and_share_its_layers():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.build_model("inception", 3, image_size=80, weights="none")
    base, head = models.split_at_features(model)
    features = np.asarray(base(_pictures()), np.float32)  # as a cache on disk holds them
    assert features.shape == (2, 2048)
    np.testing.assert_array_equal(head(features), model(_pictures()))
    assert head.get_layer("classes") is model.get_layer("classes")
    assert not any(layer.name == "base" for layer in head.layers)


def test_probabilities_are_the_softmax_of_the_logits():
    model = models.build_model("cnn", 3, image_size=32)
    logits = model(_pictures(size=32)).numpy()
    probabilities = models.with_probabilities(model)(_pictures(size=32)).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert probabilities.dtype == np.float32
