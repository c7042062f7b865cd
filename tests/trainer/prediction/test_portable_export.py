"""Real files by Keras's exporters, run by ONNX Runtime and LiteRT."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SIZE, SmallData
from trainer.data.label_map import LabelMap
from trainer.models.joined import join_networks
from trainer.models.networks import build_model
from trainer.prediction import portable_export
from trainer.prediction.format_pictures import FilePictures
from trainer.prediction.format_table import FILE_FORMATS
from trainer.prediction.model_runtimes import RUNTIMES
from trainer.prediction.picture_network import PictureNetwork, picture_size, require_one_view
from trainer.prediction.portable_export import export_file
from trainer.prediction.predictor import Predictor
from trainer.prediction.saved_model import Served, ServingError
from trainer.prediction.views import Views

PIXELS = np.random.default_rng(0).integers(0, 256, [40, SIZE, SIZE, 3], np.uint8)
PICTURES = FilePictures(PIXELS[:20], "validation")


def _needs(file_format):
    for module in FILE_FORMATS[file_format].packages:
        pytest.importorskip(module, reason="needs the extra `formats`")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return SmallData(tmp_path / "data")


def _predictor(data, target="category", model="logistic", seed=0, size=SIZE, **options):
    label_map = LabelMap(data.categories, target)
    network = build_model(model, label_map.num_classes, image_size=size, seed=seed)
    return Predictor(network, label_map, image_size=size, **options)


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_a_file_gives_the_probabilities_of_the_run(data, tmp_path, file_format):
    """Views and temperature are part of the file."""
    _needs(file_format)
    predictor = _predictor(data, views=Views(flip=True), temperature=2.0)
    check = export_file(Served((predictor,)), tmp_path / "out", file_format, PICTURES)
    expected = predictor.probabilities(tf.constant(PIXELS))
    path = tmp_path / "out" / FILE_FORMATS[file_format].file
    received = RUNTIMES[file_format](path)(PIXELS)  # a batch of 40, which the check never tried
    np.testing.assert_allclose(received, expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.01  # the pictures differ
    assert check.largest_difference < 1e-6 and check.same_first_guess == 1
    assert json.loads((tmp_path / "out" / "check.json").read_text()) == vars(check)
    assert check.bytes == path.stat().st_size
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_several_runs_are_one_file(data, tmp_path, file_format):
    _needs(file_format)
    one, other = (_predictor(data, seed=seed) for seed in (1, 2))
    served = Served((one, other), (0.25, 0.75), "geometric")
    export_file(served, tmp_path / "out", file_format, PICTURES)
    ours, theirs = (one.probabilities(tf.constant(PIXELS)) for one in (one, other))
    expected = ours**0.25 * theirs**0.75
    expected /= expected.sum(axis=1, keepdims=True)
    path = tmp_path / "out" / FILE_FORMATS[file_format].file
    np.testing.assert_allclose(RUNTIMES[file_format](path)(PIXELS[:3]), expected[:3], atol=1e-6)


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_two_stages_are_one_file(data, tmp_path, file_format):
    """HOME has a specialist for its three categories; BOOKS and MISC have priors."""
    _needs(file_format)
    joined = join_networks(
        build_model("logistic", 3, image_size=SIZE, seed=1),
        {0: build_model("logistic", 3, image_size=SIZE, seed=2)},
        {1: np.array([0.9, 0.1]), 2: np.array([1.0])},
        data.categories.level1,
    )
    predictor = Predictor(joined, LabelMap(data.categories), image_size=SIZE)
    check = export_file(Served((predictor,)), tmp_path / "out", file_format, PICTURES)
    assert check.largest_difference < 1e-6


def test_integers_are_calibrated(data, tmp_path):
    _needs("litert")
    predictor = _predictor(data, model="cnn_small", temperature=0.5)
    pictures = FilePictures(PIXELS[:20], "validation", PIXELS[20:])
    whole = export_file(Served((predictor,)), tmp_path / "float", "litert", PICTURES)
    small = export_file(Served((predictor,)), tmp_path / "int8", "litert", pictures)
    assert small.bytes < 0.5 * whole.bytes  # a quarter, and the graph
    assert 1e-5 < small.largest_difference < 0.1
    again = export_file(Served((predictor,)), tmp_path / "again", "litert", pictures)
    files = [(tmp_path / name / "model.tflite").read_bytes() for name in ("int8", "again")]
    assert files[0] == files[1]
    assert again.largest_difference == small.largest_difference


def test_the_classes_are_beside_the_file(data, tmp_path):
    _needs("onnx")
    export_file(Served((_predictor(data),)), tmp_path / "out", "onnx", PICTURES)
    meaning = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert meaning["input"]["shape"] == ["batch", SIZE, SIZE, 3]
    assert meaning["output"] == {
        "name": "probabilities",
        "dtype": "float32",
        "shape": ["batch", 6],
    }
    assert meaning["classes"][1] == {
        "category_id": 1000020,
        "name": "FLOOR LAMP",
        "full_name": "HOME > LAMPS > FLOOR LAMP",
    }
    level1 = portable_export.meaning(LabelMap(data.categories, "level1"), SIZE)
    assert level1["classes"][1] == {"name": "BOOKS", "full_name": "BOOKS"}


def _always(probabilities):
    return lambda path: lambda pictures: np.tile(np.float32(probabilities), [len(pictures), 1])


@pytest.mark.parametrize(
    ("calibrating", "message"),
    [
        (None, "differ from the run by at most 0.0001 .* Received, on 20 pictures .*--format"),
        (PIXELS[20:], "first guess on at least 80% of the pictures.*or leave out --int8"),
    ],
)
def test_a_file_that_is_not_the_network_is_refused(
    data, tmp_path, monkeypatch, calibrating, message
):
    monkeypatch.setattr(
        portable_export, "_write_model", lambda network, path, *others: path.write_bytes(b"file")
    )
    predictor = _predictor(data)
    never_first = np.bincount(
        predictor.probabilities(tf.constant(PIXELS[:20])).argmax(axis=1), minlength=6
    ).argmin()
    monkeypatch.setitem(RUNTIMES, "litert", _always(np.eye(6)[never_first]))
    pictures = FilePictures(PIXELS[:20], "validation", calibrating)
    with pytest.raises(ServingError, match=message):
        export_file(Served((predictor,)), tmp_path / "out", "litert", pictures)
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


class _Unsupported(Predictor):
    """Uses an operation that LiteRT does not have."""

    def forward(self, images):
        boxes = tf.tile([[0.0, 0.0, 0.5, 0.5]], [tf.shape(images)[0], 1])
        rows = tf.range(tf.shape(images)[0])
        return super().forward(
            tf.cast(tf.image.crop_and_resize(images, boxes, rows, images.shape[1:3]), tf.uint8)
        )


def test_a_network_that_the_format_cannot_hold_is_refused(data, tmp_path, capfd):
    _needs("litert")
    network = _predictor(data).model
    predictor = _Unsupported(network, LabelMap(data.categories), image_size=SIZE)
    capfd.readouterr()
    with pytest.raises(ServingError, match=r"cannot write .*litert: keras \d.*CropAndResize"):
        export_file(Served((predictor,)), tmp_path / "out", "litert", PICTURES)
    assert capfd.readouterr().err == ""  # no pages of the converter's own
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


def test_a_file_that_the_runtime_cannot_read_is_refused(data, tmp_path, monkeypatch):
    _needs("onnx")
    monkeypatch.setattr(
        portable_export, "_write_model", lambda network, path, *others: path.write_bytes(b"file")
    )
    with pytest.raises(ServingError, match="cannot run .* onnxruntime .* Nothing was kept"):
        export_file(Served((_predictor(data),)), tmp_path / "out", "onnx", PICTURES)
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


def test_pictures_of_two_sizes_are_refused(data):
    served = Served((_predictor(data), _predictor(data, size=12)), (0.5, 0.5))
    with pytest.raises(ServingError, match="one --image_size, .* Received: 12, 16"):
        picture_size(served)


@pytest.mark.parametrize("scales", [(1.0, 1.5), (0.8,)])
def test_magnified_pictures_are_refused(data, scales):
    served = Served((_predictor(data, views=Views(scales=scales)),))
    with pytest.raises(ServingError, match=f"--scales=1: .* Received: .*{scales[-1]}. Leave out"):
        picture_size(served)


def test_a_fused_run_is_refused(data):
    with pytest.raises(ServingError, match="Received: a fused run"):
        picture_size(object())


def test_integers_take_one_view_of_one_run(data):
    require_one_view(Served((_predictor(data),)))
    with pytest.raises(ServingError, match=r"--int8 takes one run and one view .* 2 view\(s\)"):
        require_one_view(Served((_predictor(data, views=Views(flip=True)),)))
    with pytest.raises(ServingError, match=r"Received: 2 run\(s\)"):
        require_one_view(Served((_predictor(data), _predictor(data)), (0.5, 0.5)))


def test_scaled_logits_are_the_same_function(data):
    """p ** (1 / T), scaled, is the softmax of logits / T."""
    served = Served((_predictor(data, temperature=3.0),))
    one, other = (
        PictureNetwork(served, SIZE, scales_logits=scales)(PIXELS)["probabilities"]
        for scales in (False, True)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
