"""A fused run predicts, is evaluated, submitted, mixed and served like any other."""

import csv
import gzip
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.fake_sources import collected
from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SmallData, make_products
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model, split_at_features
from trainer.prediction.evaluation import evaluate_run, evaluate_runs, write_result
from trainer.prediction.fused_source import FusedSource, load_fused, open_source
from trainer.prediction.loading import load_network, load_predictor
from trainer.prediction.member_bases import MemberError
from trainer.prediction.options import NetworkOptions, PredictionOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.saved_model import ServingError, export
from trainer.prediction.served_runs import load_served
from trainer.prediction.submission import submit
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.training.train import train

DAMAGED = b"\xff\xd8\xff no picture"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data, and runs/member0, runs/member1 (of smaller pictures) and runs/fused."""
    folder = tmp_path_factory.mktemp("world")
    data = SmallData(folder)
    data.add("train", make_products(np.arange(30) % 6))
    products = make_products(np.arange(13) % 6, seed=1, first_id=1000)
    first = next(place for place, one in enumerate(products) if len(one.images) > 2)
    products[first].images[0] = DAMAGED
    products[5] = products[5]._replace(images=[DAMAGED])
    assert first != 5
    data.add("validation", products)
    data.add("test", make_products([0, 1, 2, 3], seed=2, first_id=2000, unlabelled=True))
    runs = folder / "runs"
    members = write_members(runs, data, 1)
    small = build_model("logistic", 6, image_size=12, seed=7)
    members.append(write_network_run(runs / "member1", data, best=small, image_size=12))
    run = train(config_of(runs / "fused", members, data, flip=True), runs / "fused", data)
    return data, runs, members, run, products


@pytest.fixture
def opened(world, monkeypatch):
    for module in ("evaluation", "submission"):
        name = f"trainer.prediction.{module}.open_dataset"
        monkeypatch.setattr(name, lambda data_dir: world[0])
    return world


def by_hand(world, jpegs):
    """The probabilities of a product with these pictures, from the members' own networks."""
    _, _, members, run, _ = world
    parts = []
    for member in members:
        base, size = split_at_features(load_network(member))[0], member.config.image_size
        pictures = np.stack([decode_jpeg(jpeg, size).numpy() for jpeg in jpegs])
        own = [base(shown).numpy() for shown in (pictures, pictures[:, :, ::-1])]
        parts.append(sum(own) / 2)
    features = np.concatenate(parts, axis=1)[None]
    model = load_fused(run).predictor.model
    logits = model({"features": features, "mask": np.ones(features.shape[:2], bool)})
    return tf.nn.softmax(logits)[0].numpy()


def source_of(world, **options):
    data, _, _, run, _ = world
    return open_source(run, data, PredictionOptions(**options), "tf")


def test_predictions_are_those_of_the_networks_by_hand(world):
    data, *_, products = world
    batch = collected(source_of(world).predict(data.split("validation")))
    readable = [[jpeg for jpeg in product.images if jpeg != DAMAGED] for product in products]
    seen = [place for place, jpegs in enumerate(readable) if jpegs]
    assert batch.ordinals.tolist() == [*seen, 5]
    assert batch.num_pictures.tolist() == [*(len(readable[place]) for place in seen), 0]
    np.testing.assert_allclose(batch.probabilities[-1], np.full(6, 1 / 6), rtol=1e-6)  # the prior
    for place in seen[:5]:
        row = batch.probabilities[seen.index(place)]
        np.testing.assert_allclose(row, by_hand(world, readable[place]), atol=1e-4)
        alone = batch.picture_probabilities[batch.picture_ordinals == place]
        for jpeg, own in zip(readable[place], alone, strict=True):
            np.testing.assert_allclose(own, by_hand(world, [jpeg]), atol=1e-4)


def test_batches_change_nothing(world):
    split = world[0].split("validation")
    expected = collected(source_of(world).predict(split))
    source = source_of(world, batch_size=1)
    batch = collected(source.predict(split))
    np.testing.assert_array_equal(batch.ordinals, expected.ordinals)
    np.testing.assert_allclose(batch.probabilities, expected.probabilities, atol=1e-5)
    some = collected(source.predict(split, np.array([1, 4])))
    rows = expected.probabilities[np.isin(expected.ordinals, [1, 4])]
    np.testing.assert_allclose(some.probabilities, rows, atol=1e-5)


def test_views_are_averaged(world):
    split = world[0].split("validation")
    plain = collected(source_of(world).predict(split))
    # The features are already those of both: a mirror image changes nothing.
    flipped = collected(source_of(world, flip=True).predict(split))
    np.testing.assert_allclose(flipped.probabilities, plain.probabilities, atol=1e-5)
    scaled = collected(source_of(world, scales="1.2").predict(split))
    both = collected(source_of(world, scales="1,1.2").predict(split))
    mean = (plain.probabilities + scaled.probabilities) / 2
    assert np.abs(scaled.probabilities - plain.probabilities).max() > 1e-3
    np.testing.assert_allclose(both.probabilities, mean, atol=1e-5)


def test_training_validates_what_an_evaluation_measures(opened):
    *_, run, _ = opened
    result = evaluate_run(run.path)
    row = run.history[run.state.best.epoch]
    assert result.counts.product.accuracy == pytest.approx(row.val_product_accuracy)
    assert result.counts.picture.accuracy == pytest.approx(row.val_accuracy)
    assert result.counts.product.loss == pytest.approx(row.val_loss, abs=2e-3)
    assert result.method.mean == "fusion"
    assert write_result(run.path, result).exists()
    calibrated = evaluate_run(run.path, calibrate=True)
    assert calibrated.method.calibration.product != 1
    selection = RunSelection(run_dir=str(run.path))
    _, made_from = load_served(selection, NetworkOptions(), "float32")
    assert made_from["temperature"] == calibrated.method.calibration.product
    run.path.joinpath("calibration.json").unlink()


def test_a_submission_names_the_members(opened, tmp_path):
    data, _, members, run, _ = opened
    output = tmp_path / "submission.csv.gz"
    assert submit(run.path, output) == 4
    with gzip.open(output, "rt") as file:
        rows = list(csv.DictReader(file))
    batch = collected(source_of(opened).predict(data.split("test")))
    ids = data.categories.category_ids[batch.probabilities.argmax(axis=1)]
    expected = dict(zip(data.split("test").index.product_id.tolist(), ids.tolist(), strict=True))
    assert {int(row["_id"]): int(row["category_id"]) for row in rows} == expected
    made_from = json.loads((tmp_path / "submission.csv.gz.made_from.json").read_text())
    shas = [member["sha256"] for member in made_from["fused_runs"]]
    assert shas == [member.state.best.sha256 for member in members]


def test_a_fused_run_mixes_with_others(opened):
    data, runs, members, run, _ = opened
    selection = RunSelection(run_dirs=f"{run.path},{members[0].path}", run_weights="3,1")
    result = evaluate_runs(selection, options=PredictionOptions(keep_predictions=False))
    assert result.method.mean == "fusion, arithmetic"
    assert [row.weight for row in result.method.mixture.runs] == [0.75, 0.25]


def test_a_saved_model_takes_products(world, tmp_path):
    *_, run, products = world
    served, made_from = load_served(
        RunSelection(run_dir=str(run.path)), NetworkOptions(), "float32"
    )
    assert [row["path"] for row in made_from["fused_runs"]] == ["../member0", "../member1"]
    folder = export(served, tmp_path / "served", top=2)
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    two = [product.images for product in products if len(product.images) == 2][0]
    rows = [[*two, b""], [b"", b"", two[0]], [b"", b"", b""]]
    outputs = serve(jpegs=tf.constant(rows))
    probabilities = outputs["probabilities"].numpy()
    np.testing.assert_allclose(probabilities[0], by_hand(world, two), atol=1e-4)
    np.testing.assert_allclose(probabilities[1], by_hand(world, two[:1]), atol=1e-4)
    np.testing.assert_allclose(probabilities[2], np.full(6, 1 / 6), rtol=1e-6)
    assert outputs["class"].shape == (3, 2)
    for shape in ([0, 3], [2, 0]):
        assert serve(jpegs=tf.zeros(shape, tf.string))["probabilities"].shape == (shape[0], 6)


def test_what_does_not_fit_a_fused_run(opened):
    data, runs, members, run, _ = opened
    with pytest.raises(PredictionError, match="is a fused run, whose network takes all pictures"):
        evaluate_run(run.path, options=PredictionOptions(mean="max"))
    with pytest.raises(RunFolderError, match="takes the features of other runs, not pictures"):
        load_predictor(run.path, data)
    selection = RunSelection(run_dirs=f"{run.path},{members[0].path}")
    with pytest.raises(ServingError, match="one SavedModel cannot hold both"):
        load_served(selection, NetworkOptions(), "float32")


@pytest.mark.parametrize("change", ["gone", "weights"])
def test_a_changed_member_is_refused(world, tmp_path, change):
    data, runs, *_ = world
    copy = shutil.copytree(runs, tmp_path / "runs")
    shutil.rmtree(copy / "member1")
    if change == "weights":
        shutil.copytree(copy / "member0", copy / "member1")
    text = {"gone": "where there is no run", "weights": "has other weights now than when"}[change]
    with pytest.raises(MemberError, match=f"member1.*{text}|{text}.*member1"):
        FusedSource(RunFolder(copy / "fused"), data, PredictionOptions(), "tf")
