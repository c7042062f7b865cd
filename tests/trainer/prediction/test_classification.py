"""Photos in folders: the same probabilities as those of the same products in a data set."""

import json
import pathlib

import numpy as np
import pandas
import pytest
from PIL import Image

from cdisc_tfds.photo_products import PhotoProduct, products_of_files
from tests.helpers.fake_sources import collected
from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.network_runs import write_network_run
from tests.helpers.photo_files import encoded, pixels_of, write_product_folders
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction import classified_photos
from trainer.prediction.acceptance_options import AcceptanceOptions
from trainer.prediction.classification import open_classifier
from trainer.prediction.classified_photos import write_predictions
from trainer.prediction.options import PredictionOptions, SourceOptions
from trainer.prediction.photo_inputs import PhotoInputs, PhotoOptions, read_inputs
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.selected_runs import select_runs, selected_folders
from trainer.prediction.submission import submit
from trainer.training.train import train

PRODUCTS = make_products([0, 1, 2, 3, 4, 5] * 4, seed=2, first_id=200, unlabelled=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5, 3, 3]))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5] * 3, seed=1, first_id=100))
    data.add("test", PRODUCTS)
    for module in ("submission", "evaluation", "classification"):
        monkeypatch.setattr(f"trainer.prediction.{module}.open_dataset", lambda data_dir: data)
    return data


@pytest.fixture
def folder(tmp_path):
    return write_product_folders(tmp_path / "photos", PRODUCTS)


@pytest.fixture
def no_data(monkeypatch):
    """Makes it an error to look for a data set."""

    def refuse(data_dir):
        raise AssertionError("no data set is needed")

    monkeypatch.setattr("trainer.prediction.classification.open_dataset", refuse)


def _runs(tmp_path, data, kind):
    """Runs of a kind, as the flags name them."""
    if kind == "fused":
        members = write_members(tmp_path, data)
        train(config_of(tmp_path / "fused", members, data), tmp_path / "fused", data)
        return RunSelection(run_dir=str(tmp_path / "fused"))
    runs = write_members(tmp_path, data, 2 if kind == "mixture" else 1)
    if kind == "single":
        return RunSelection(run_dir=str(runs[0].path))
    return RunSelection(run_dirs=",".join(str(run.path) for run in runs), run_weights="0.7,0.3")


def _classified(selection, products, top=6, how=None, acceptance=None):
    """(the ranked products, the rejected photos) of one part."""
    classifier = open_classifier(
        selection, how or SourceOptions(), acceptance or AcceptanceOptions(), top
    )
    rejected = []
    (found,) = classifier.classify(products, rejected.append)
    return found, rejected


def _by_folder(folder):
    return list(products_of_files([str(folder)], "folder"))


@pytest.mark.parametrize(
    ("kind", "flip"), [("single", False), ("single", True), ("mixture", False), ("fused", False)]
)
def test_photos_have_exactly_the_probabilities_of_the_same_products_in_a_data_set(
    data, tmp_path, folder, kind, flip
):
    selection, how = _runs(tmp_path, data, kind), SourceOptions(flip=flip)
    # The data set's products in the order of the folders, so that batches are the same.
    products = sorted(PRODUCTS, key=lambda product: product.product_id)
    split = data.add("sorted", products, shards=1)
    runs = selected_folders(selection)
    source = select_runs(selection, runs, data, how, "tf").source
    expected = collected(source.predict(split))
    found, rejected = _classified(selection, _by_folder(folder), how=how)
    assert rejected == []
    assert [pathlib.Path(name).name for name in found.names] == [
        f"{product.product_id:06d}" for product in products
    ]
    assert found.num_pictures.tolist() == [len(product.images) for product in products]
    order = np.argsort(-expected.probabilities, axis=1, kind="stable")
    assert np.array_equal(found.classes, order)
    probabilities = np.take_along_axis(expected.probabilities, order, axis=1)
    assert np.array_equal(found.probabilities, probabilities)  # bit by bit
    assert len(set(found.classes[:, 0])) > 1


def test_the_first_guesses_are_those_of_the_submission(data, tmp_path, folder, no_data):
    run = write_network_run(tmp_path / "run", data)
    submit(run.path, tmp_path / "submission.csv")
    kept = sorted(run.path.rglob("*"))
    submitted = pandas.read_csv(tmp_path / "submission.csv")
    inputs = PhotoInputs(_by_folder(folder), [], [])
    classifier = open_classifier(
        RunSelection(run_dir=str(run.path)), SourceOptions(batch_size=3), AcceptanceOptions(), 2
    )
    summary = write_predictions(classifier, inputs, str(tmp_path / "found.csv"))
    found = pandas.read_csv(tmp_path / "found.csv")
    ids = found["product"].map(lambda name: int(pathlib.Path(name).name))
    assert ids.tolist() == submitted["_id"].tolist()
    assert found["category_id"].tolist() == submitted["category_id"].tolist()
    assert (summary.num_products, summary.num_predicted, summary.num_accepted) == (24, 24, None)
    assert sorted(run.path.rglob("*")) == kept  # nothing of photos is
    made_from = json.loads((tmp_path / "found.csv.made_from.json").read_text())
    assert (made_from["sha256"], made_from["threshold"]) == (run.state.best.sha256, None)


def test_many_classes_give_the_bits_of_kept_predictions(data, tmp_path, folder, monkeypatch):
    """Of many classes, kept predictions have the most probable ones only, and so have photos."""
    monkeypatch.setattr("trainer.prediction.kept_predictions.TOP", 3)
    run = write_network_run(tmp_path / "run", data)
    selection = RunSelection(run_dir=str(run.path))
    split = data.add("sorted", sorted(PRODUCTS, key=lambda one: one.product_id), shards=1)
    source = select_runs(selection, [run], data, PredictionOptions(), "tf").source
    expected = np.sort(collected(source.predict(split)).probabilities)[:, ::-1]
    found, _ = _classified(selection, _by_folder(folder))
    assert np.array_equal(found.probabilities, expected)


def test_parts_do_not_change_the_result(data, tmp_path, folder, monkeypatch):
    run = write_network_run(tmp_path / "run", data)
    selection = RunSelection(run_dir=str(run.path))
    whole, _ = _classified(selection, _by_folder(folder))
    monkeypatch.setattr("trainer.data.photo_split._PART_PICTURES", 7)
    monkeypatch.setattr("trainer.data.photo_split._BYTES_AHEAD", 2000)
    classifier = open_classifier(selection, SourceOptions(), AcceptanceOptions(), 6)
    parts = list(classifier.classify(_by_folder(folder), lambda rejection: None))
    assert len(parts) > 3
    assert [name for part in parts for name in part.names] == whole.names
    probabilities = np.concatenate([part.probabilities for part in parts])
    np.testing.assert_allclose(probabilities, whole.probabilities, rtol=1e-5)


def test_other_formats_have_the_probabilities_of_their_pixels(data, tmp_path):
    """A picture as PNG, WebP without loss, BMP, TIFF, and turned by EXIF, is the same picture."""
    run = write_network_run(tmp_path / "run", data)
    jpeg = PRODUCTS[0].images[0]
    pixels = pixels_of(jpeg)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    (tmp_path / "b.png").write_bytes(encoded(pixels, "PNG"))
    (tmp_path / "c.webp").write_bytes(encoded(pixels, "WEBP", lossless=True))
    (tmp_path / "d").write_bytes(encoded(pixels, "BMP"))  # the name does not matter
    (tmp_path / "e.jpg").write_bytes(encoded(pixels, "TIFF"))
    opaque = np.concatenate([pixels, np.full([SIZE, SIZE, 1], 255, np.uint8)], axis=2)
    (tmp_path / "f.png").write_bytes(encoded(opaque, "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise
    (tmp_path / "g.png").write_bytes(encoded(np.rot90(pixels), "PNG", exif=exif))
    names = ["a.jpg", "b.png", "c.webp", "d", "e.jpg", "f.png", "g.png"]
    products = [PhotoProduct(name, (str(tmp_path / name),)) for name in names]
    found, rejected = _classified(RunSelection(run_dir=str(run.path)), products)
    assert rejected == []
    for place in range(1, len(names)):
        np.testing.assert_allclose(
            found.probabilities[place], found.probabilities[0], rtol=1e-6, err_msg=names[place]
        )


def test_bad_photos_are_listed_and_never_fatal(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    good = PRODUCTS[0].images[0]
    half = tmp_path / "half"
    half.mkdir()
    (half / "0.jpg").write_bytes(good)
    (half / "1.jpg").write_bytes(good[:-20])
    (half / "2.txt").write_text("=no picture")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "0.png").write_bytes(encoded(pixels_of(good), "PNG")[:60])
    inputs = read_inputs(
        [str(half), str(bad), *map(str, [half / "0.jpg"])], PhotoOptions(product="folder")
    )
    classifier = open_classifier(
        RunSelection(run_dir=str(run.path)), SourceOptions(), AcceptanceOptions(threshold=1e-6), 2
    )
    summary = write_predictions(classifier, inputs, str(tmp_path / "found.jsonl"))
    assert (summary.num_products, summary.num_predicted, summary.num_accepted) == (2, 1, 1)
    assert summary.num_rejected == 3
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [(row["product"], row["pictures"], row["accepted"]) for row in rows] == [
        (str(half), 1, True),
        (str(bad), 0, False),
    ]
    assert [len(row["predictions"]) for row in rows] == [2, 0]
    listed = [json.loads(line) for line in summary.rejected_path.read_text().splitlines()]
    assert [(row["photo"], row["reason"]) for row in listed] == [
        (f"{half}/1.jpg", "the JPEG has no end marker (ff d9): it was cut short"),
        (
            f"{half}/2.txt",
            "it is no picture of a format that is read, or a damaged one: it starts with "
            "3d 6e 6f 20 70 69 63 74",
        ),
        (f"{bad}/0.png", listed[2]["reason"]),
        (None, "it has no usable photo"),
    ]
    assert listed[2]["reason"].startswith("it cannot be decoded (")

    # A later command without bad photos deletes the list.
    good_inputs = read_inputs([str(half / "0.jpg")], PhotoOptions())
    again = write_predictions(classifier, good_inputs, str(tmp_path / "found.jsonl"))
    assert again.rejected_path is None and not summary.rejected_path.exists()


def test_a_photo_that_only_tensorflow_finds_damaged_is_listed(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    good = PRODUCTS[0].images[0]
    # The first quantisation table is gone; the headers are those of a JPEG.
    place = good.index(b"\xff\xdb")
    length = int.from_bytes(good[place + 2 : place + 4], "big")
    damaged = good[:place] + good[place + 2 + length :]
    (tmp_path / "a.jpg").write_bytes(good)
    (tmp_path / "b.jpg").write_bytes(damaged)
    paths = (str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"))
    products = [PhotoProduct("both", paths), PhotoProduct("damaged", paths[1:])]
    found, rejected = _classified(RunSelection(run_dir=str(run.path)), products)
    assert found.num_pictures.tolist() == [1, 0]
    assert np.isnan(found.probabilities[1]).all() and (found.classes[1] == -1).all()
    reason = "it cannot be decoded: its data are damaged"
    assert [tuple(one) for one in rejected] == [
        ("both", paths[1], reason),
        ("damaged", paths[1], reason),
        ("damaged", None, "it has no usable photo"),
    ]


def test_only_bad_photos_give_rows_without_a_prediction(data, tmp_path):
    run = write_network_run(tmp_path / "run", data)
    (tmp_path / "a.jpg").write_bytes(b"")
    found, rejected = _classified(
        RunSelection(run_dir=str(run.path)), [PhotoProduct("a", (str(tmp_path / "a.jpg"),))]
    )
    assert found.num_pictures.tolist() == [0]
    assert [one.reason for one in rejected] == ["the picture is empty", "it has no usable photo"]


def test_an_interrupted_command_leaves_the_old_file(data, tmp_path, folder, monkeypatch):
    run = write_network_run(tmp_path / "run", data)
    classifier = open_classifier(
        RunSelection(run_dir=str(run.path)), SourceOptions(), AcceptanceOptions(), 2
    )
    output = tmp_path / "found.csv"
    output.write_text("the old one")

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(classified_photos.Classifier, "marks", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_predictions(classifier, PhotoInputs(_by_folder(folder), [], []), str(output))
    assert output.read_text() == "the old one"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"data", "photos", "run", "found.csv"}


def test_networks_of_two_picture_sizes_see_the_largest(data, tmp_path, folder):
    small = write_network_run(tmp_path / "small", data)
    network = build_model("logistic", 6, image_size=2 * SIZE, seed=1)
    large = write_network_run(tmp_path / "large", data, best=network, image_size=2 * SIZE)
    selection = RunSelection(run_dirs=f"{small.path},{large.path}")
    classifier = open_classifier(selection, SourceOptions(), AcceptanceOptions(), 3)
    assert classifier.max_side == 2 * SIZE
    (found,) = classifier.classify(_by_folder(folder), lambda rejection: None)
    assert (found.num_pictures > 0).all()
