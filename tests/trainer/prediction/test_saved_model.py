import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model
from trainer.prediction import saved_model
from trainer.prediction.predictor import Predictor, predict_products
from trainer.prediction.saved_model import Served, ServingError, export
from trainer.prediction.views import Views


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("validation", make_products([0, 1, 2, 3, 4, 5]))
    return data


def _predictor(data, target="category", **options):
    label_map = LabelMap(data.categories, target)
    model = build_model("logistic", label_map.num_classes, image_size=SIZE)
    return Predictor(model, label_map, image_size=SIZE, **options)


def _served(data, target="category"):
    return Served((_predictor(data, target),))


def _serve(folder, jpegs):
    loaded = tf.saved_model.load(str(folder))
    outputs = loaded.signatures["serving_default"](tf.constant(jpegs))
    return {name: value.numpy() for name, value in outputs.items()}


def test_a_name_that_is_too_long_for_the_file_beside_it(tmp_path):
    with pytest.raises(ServingError, match="name may have at most 200 bytes.*made_from.json"):
        saved_model.check_output(tmp_path / ("x" * 201))
    assert saved_model.check_output(tmp_path / ("x" * 200))
    (tmp_path / "file").touch()
    with pytest.raises(ServingError, match="must be in a folder that can be written to"):
        saved_model.check_output(tmp_path / "file" / "1")


@pytest.mark.parametrize("flip", [False, True])
def test_served_probabilities_are_those_of_the_predictor(data, tmp_path, flip):
    predictor = _predictor(data, views=Views(flip=flip))
    folder = export(Served((predictor,)), tmp_path / "served" / "1")
    jpegs = [jpeg for product in make_products([0, 1, 2, 3, 4, 5]) for jpeg in product.images]
    served = _serve(folder, jpegs)
    predicted = np.concatenate(
        [
            batch.picture_probabilities
            for batch in predict_products(predictor, data.split("validation"), batch_size=100)
        ]
    )
    np.testing.assert_allclose(served["probabilities"], predicted, rtol=1e-6)
    top = np.argsort(-predicted, axis=1, kind="stable")[:, :5]
    assert np.array_equal(served["class"], top)
    assert np.array_equal(served["category_id"], data.categories.category_ids[top])
    names = [[name.decode() for name in row] for row in served["name"]]
    assert names == [[data.categories.level3_names[label] for label in row] for row in top]
    np.testing.assert_allclose(
        served["probability"], np.take_along_axis(predicted, top, axis=1), rtol=1e-6
    )


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_several_networks_are_served_together(data, tmp_path, mean):
    """Their pictures have different sizes."""
    label_map = LabelMap(data.categories)
    one, other = (
        Predictor(
            build_model("logistic", 6, image_size=size, seed=size), label_map, image_size=size
        )
        for size in (SIZE, 12)
    )
    folder = export(Served((one, other), (0.75, 0.25), mean), tmp_path / "1")
    jpegs = make_products([3])[0].images
    ours, theirs = (
        predictor.probabilities(tf.stack([decode_jpeg(jpeg, size) for jpeg in jpegs]))
        for predictor, size in ((one, SIZE), (other, 12))
    )
    expected = 0.75 * ours + 0.25 * theirs
    if mean == "geometric":
        expected = ours**0.75 * theirs**0.25
        expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(_serve(folder, jpegs)["probabilities"], expected, rtol=1e-5)


def test_the_names_are_an_asset(data, tmp_path):
    folder = export(_served(data, "level1"), tmp_path / "1")
    assert (folder / "assets" / "class_names.txt").read_text() == "HOME\nBOOKS\nMISC\n"
    jpeg = make_products([0])[0].images[0]
    served = _serve(folder, [jpeg, jpeg])
    assert served["name"].shape == (2, 3)  # no more classes than there are
    assert "category_id" not in served
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "data"]


def test_a_name_takes_one_line(data, tmp_path):
    data.categories.level3_names[1] = " FLOOR\n LAMP "
    folder = export(_served(data), tmp_path / "1")
    lines = (folder / "assets" / "class_names.txt").read_text().split("\n")
    assert lines[:3] == ["DESK LAMP", "FLOOR LAMP", "CRIME"]


def test_nothing_is_written_over(data, tmp_path):
    with pytest.raises(ServingError, match="does not exist yet. Received: .*data, which does"):
        export(_served(data), tmp_path / "data")


def test_a_failed_export_leaves_nothing(data, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model.os, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        export(_served(data), tmp_path / "1")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_empty_vector_gives_empty_results(data, tmp_path):
    folder = export(_served(data), tmp_path / "1")
    served = _serve(folder, np.array([], object))
    assert served["probabilities"].shape == (0, 6)
    assert served["class"].shape == served["name"].shape == served["category_id"].shape == (0, 5)


def test_a_header_of_too_many_pixels_is_refused_before_decoding(data, tmp_path):
    """A few bytes must not make the server take gigabytes of memory."""
    folder = export(_served(data), tmp_path / "1")
    jpeg = bytearray(make_products([0])[0].images[0])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = (8192).to_bytes(2, "big") + (4097).to_bytes(2, "big")
    message = "at most 33554432 pixels.*8192 4097"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        _serve(folder, [bytes(jpeg)])
    jpeg[frame + 7 : frame + 9] = (64).to_bytes(2, "big")  # cut short, but few enough
    assert _serve(folder, [bytes(jpeg)])["class"].shape == (1, 5)


def test_strings_are_decoded_on_the_processor(data, tmp_path):
    """On a machine with a GPU, TensorFlow may place a loop over strings there, which fails."""
    folder = export(_served(data), tmp_path / "1")
    graph = tf.saved_model.load(str(folder)).signatures["serving_default"].graph
    bodies = graph.as_graph_def().library.function
    devices = {
        node.device
        for function in bodies
        for node in function.node_def
        if node.op in ("DecodeJpeg", "ExtractJpegShape", "TensorListGetItem", "LookupTableFindV2")
    }
    loops = {
        node.device
        for function in bodies
        for node in function.node_def
        if node.op in ("While", "StatelessWhile")
    }
    assert devices and loops
    assert all(device.upper().endswith("CPU:0") for device in devices | loops)
