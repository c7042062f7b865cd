"""The networks of keras.applications: the table against Keras, scaling, and files of weights."""

import re

import keras
import numpy as np
import pytest

from tests.helpers.pretrained_networks import APPLICATIONS, each
from trainer.models import networks as models
from trainer.models.weight_files import WeightsError, keras_home

SIZE = 32


@pytest.fixture(autouse=True)
def _clear():
    yield
    keras.backend.clear_session()


def _kind(name):
    return models.MODELS[name].base.kind


def _preprocess_input(name):
    """Keras's own function, of the module that has the network's class."""
    if name.startswith("mobilenet_v3"):  # whose public module has the function alone
        return keras.applications.mobilenet_v3.preprocess_input
    return next(
        module.preprocess_input
        for module in vars(keras.applications).values()
        if hasattr(module, _kind(name)) and hasattr(module, "preprocess_input")
    )


def _pixels(size=SIZE):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)


def _scaled(name, pixels):
    pictures = keras.Input(pixels.shape[1:], dtype="uint8")
    return keras.Model(pictures, models.scaled(pictures, models.MODELS[name].pixels))(pixels)


def test_the_table_has_every_classifier_of_keras():
    classes = {name for name in vars(keras.applications) if name[0].isupper()}
    ours = {_kind(name) for name in APPLICATIONS}
    assert ours == classes, (
        "trainer/models/applications_table.py must name the classes of keras.applications. "
        f"Add: {sorted(classes - ours)}. Remove: {sorted(ours - classes)}."
    )
    assert all(models.MODELS[name].min_image_size <= 180 for name in APPLICATIONS)


def test_pixels_are_scaled_as_keras_does_it():
    pixels = _pixels().astype(np.float32)
    for name in APPLICATIONS:
        keras_own = _preprocess_input(name)(pixels.copy())
        if models.MODELS[name].base.first_layer:  # scaled within the network; see the next test
            np.testing.assert_array_equal(keras_own, pixels, err_msg=name)
        else:
            np.testing.assert_allclose(_scaled(name, _pixels()), keras_own, atol=1e-5, err_msg=name)


class _Keras:
    """Keras with one file for every download: the last weights are 7, and pixels are normalized as
    in EfficientNet's files.

    Attributes:
      asked: the names and addresses that Keras asked for.
      network: the network that received the file.
    """

    def __init__(self, monkeypatch):
        self.asked, self.network = [], None
        monkeypatch.setattr("keras.src.utils.file_utils.get_file", self._get_file)
        monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: self._load(model))

    def _get_file(self, name, origin, **_):
        self.asked.append((name, origin))
        return name

    def _load(self, model):
        self.network = model
        last = model.weights[-1]
        last.assign(np.full(last.shape, 7, np.float32))
        for layer in model.layers:
            if isinstance(layer, keras.layers.Normalization) and layer.weights:
                mean, deviation = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
                layer.set_weights([mean, deviation, np.array(0, "int32")])
                layer.finalize_state()


@each(APPLICATIONS)
def test_imagenet_asks_for_the_file_of_the_table(name, monkeypatch):
    """And its weights arrive; and what Keras scales within the network, `scale` does as well."""
    fake = _Keras(monkeypatch)
    entry = models.MODELS[name]
    model = models.build_model(name, 3, image_size=entry.min_image_size)
    assert fake.asked == [(entry.base.weights_file, entry.base.weights_source)]
    base = model.get_layer("base")
    assert (np.asarray(base.weights[-1]) == 7).all()
    loaded = fake.network.get_weights()
    for ours, theirs in zip(base.get_weights()[::-1], loaded[::-1]):
        np.testing.assert_array_equal(ours, theirs)
    assert len(loaded) - len(base.weights) in (0, 3)  # 3: EfficientNet's Normalization
    if first := entry.base.first_layer:
        scaling = keras.Model(fake.network.input, fake.network.get_layer(first).input)
        pixels = _pixels(fake.network.input_shape[1])
        theirs = scaling(pixels.astype(np.float32))
        np.testing.assert_allclose(_scaled(name, pixels), theirs, atol=2e-5)


def test_imagenet_without_network_says_which_file_to_put_where(monkeypatch):
    def refuse(*_, **__):
        raise Exception("URL fetch failure on https://...: None -- Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refuse)
    with pytest.raises(WeightsError) as error:
        models.build_model("mobilenet", 3, image_size=SIZE)
    assert str(error.value) == (
        f"`weights=imagenet` needs the file {keras_home()}/models/mobilenet_1_0_224_tf_no_top.h5, "
        "which is not there and could not be downloaded (Name or service not known). Put it there "
        "from a machine with network access (https://storage.googleapis.com/tensorflow/"
        "keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top.h5), or give weights=PATH or "
        "weights=none."
    )


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_weights_are_loaded_from_a_file_that_keras_wrote(tmp_path, ending):
    path = tmp_path / f"mobilenet{ending}"
    written = keras.applications.MobileNet(include_top=False, weights=None)
    if ending == ".weights.h5":
        written.save_weights(path)
    else:
        written.save(path)
    model = models.build_model("mobilenet", 3, image_size=48, weights=str(path))
    read = model.get_layer("base").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(read, written.get_weights(), strict=True))


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "other.weights.h5"
    keras.applications.MobileNet(include_top=False, weights=None).save_weights(path)
    with pytest.raises(
        WeightsError,
        match=r"`weights` must be a file of weights of keras.applications.MobileNetV2\("
        rf"include_top=False\). Received: {re.escape(str(path))}, which cannot be loaded as that",
    ):
        models.build_model("mobilenet_v2", 3, image_size=SIZE, weights=str(path))


def test_a_file_of_efficientnet_with_a_scaling_of_its_own_is_refused(tmp_path):
    path = tmp_path / "own.weights.h5"
    network = keras.applications.EfficientNetB0(include_top=False, weights=None)
    network.save_weights(path)  # mean 0, variance 1
    with pytest.raises(WeightsError, match="its Normalization is not that of ImageNet's weights"):
        models.build_model("efficientnet_b0", 3, image_size=SIZE, weights=str(path))


def test_a_missing_file_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(WeightsError, match=f"Received: {tmp_path}/none.h5, which does not exist"):
        models.resolve_input_range("convnext_xlarge", f"{tmp_path}/none.h5")
