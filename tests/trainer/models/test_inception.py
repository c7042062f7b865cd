"""InceptionV3's files of weights: where they are, what they fit, which range they reveal."""

import pathlib

import h5py
import keras
import numpy as np
import pytest

from tests.conftest import shared_data
from trainer.models import inception
from trainer.models import networks as models
from trainer.models.weight_files import WeightsError


@pytest.fixture(autouse=True)
def _clear():
    yield
    keras.backend.clear_session()


@pytest.fixture
def pretrained() -> pathlib.Path:
    """InceptionV3's weights, trained on pixels in [0, 1]."""
    name = "inception_v3_notop_unit_scale.weights.h5"
    return shared_data(".", name) / name


def test_weights_are_loaded_into_the_base_with_their_own_range(pretrained):
    model = models.build_model("inception", 3, image_size=80, weights=str(pretrained))
    with h5py.File(pretrained) as file:
        kernel = file["layers/conv2d/vars/0"][:]
    np.testing.assert_array_equal(model.get_layer("base").layers[1].kernel, kernel)
    scale = model.get_layer("scale")
    np.testing.assert_allclose([scale.offset, scale.scale * 255], [0, 1])
    assert models.resolve_input_range("inception", str(pretrained), (-1.0, 1.0)) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((0.5, 0.45, 0.4), (0.0, 1.0)), ((-0.03, -0.09, -0.19), (-1.0, 1.0)), ((120.0,) * 3, None)],
)
@pytest.mark.parametrize("layout", ["keras3", "legacy"])
def test_the_range_of_weights_is_read_from_their_statistics(tmp_path, layout, colour, expected):
    """The first BatchNorm of a network that saw pictures of that mean colour."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 3, 32))
    mean = np.einsum("hwco,c->o", kernel, colour) + rng.normal(size=32, scale=0.01)
    path = tmp_path / "base.h5"
    with h5py.File(path, "w") as file:
        if layout == "keras3":
            file["layers/conv2d/vars/0"] = kernel
            file["layers/batch_normalization/vars/1"] = mean
        else:
            file.attrs["layer_names"] = [b"input_1", b"conv2d_1", b"batch_normalization_1"]
            file.create_group("input_1").attrs["weight_names"] = []
            file["conv2d_1/conv2d_1/kernel:0"] = kernel
            file["conv2d_1"].attrs["weight_names"] = [b"conv2d_1/kernel:0"]
            file["batch_normalization_1/bn/moving_mean:0"] = mean
            file["batch_normalization_1"].attrs["weight_names"] = [b"bn/moving_mean:0"]
    assert inception.trained_input_range(path) == expected
    for name in ("inception", "inception_v3"):
        assert models.resolve_input_range(name, str(path)) == (expected or (-1.0, 1.0))


def test_a_file_of_another_layout_leaves_the_networks_own_range(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    assert models.resolve_input_range("inception", str(path)) == (-1.0, 1.0)
    text = tmp_path / "weights.txt"
    text.write_text("no")
    assert models.resolve_input_range("inception", str(text)) == (-1.0, 1.0)


def test_imagenet_without_network_says_which_file_to_put_where(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    with pytest.raises(WeightsError) as error:
        models.build_model("inception", 3)
    assert str(error.value) == (
        "`weights=imagenet` needs the file "
        f"{tmp_path}/models/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5 "
        "(MD5 bcbd6486424b2319ff4ef7d526e38f63), which is not there and could not be downloaded "
        "(Name or service not known). Put it there from a machine with network access "
        "(https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5), or give weights=PATH or "
        "weights=none."
    )


def test_imagenet_takes_the_file_from_keras_home(tmp_path, monkeypatch):
    base = models.MODELS["inception"].base
    file = tmp_path / "models" / base.weights_file
    file.parent.mkdir()
    file.write_bytes(b"weights")
    # The MD5 of these seven bytes.
    monkeypatch.setattr(inception, "_IMAGENET_MD5", "63f4f1e9b725370f459720575cd5f953")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert inception.weights_path(base, "imagenet") == file


def test_missing_weights_are_refused_before_anything_is_built(tmp_path):
    with pytest.raises(
        WeightsError,
        match="`weights` must be imagenet, none, or the path of an existing file .* Received: "
        f"{tmp_path}/none.h5, which does not exist",
    ):
        models.build_model("inception", 3, weights=f"{tmp_path}/none.h5")
    with pytest.raises(WeightsError, match="which is not a file"):
        models.build_model("inception", 3, weights=str(tmp_path))


@pytest.mark.parametrize("kind", ["text", "damaged", "another network"])
def test_weights_that_do_not_fit_are_refused(tmp_path, kind):
    path = tmp_path / "some.weights.h5"
    if kind == "text":
        path.write_text("not a file of weights")
    else:
        models.build_model("cnn", 3, image_size=32).save_weights(path)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        WeightsError,
        match=r"must be a file of weights of keras.applications.InceptionV3\(include_top=False\). "
        f"Received: {path}, which cannot be loaded as that",
    ):
        models.build_model("inception", 3, image_size=80, weights=str(path))
