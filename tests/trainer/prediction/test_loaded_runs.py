"""Runs in memory give the probabilities of evaluation, submission and the SavedModel."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.fake_sources import collected
from tests.helpers.fused_runs import config_of, write_members
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model
from trainer.prediction.fused_source import open_source
from trainer.prediction.loaded_runs import load_runs
from trainer.prediction.mixture import MixedSource
from trainer.prediction.mixture_rules import MixtureError
from trainer.prediction.options import NetworkOptions, PredictionOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.served_runs import load_served
from trainer.prediction.temperature import tempered
from trainer.runs.calibration_file import CalibratedMethod, Calibration, keep_calibration
from trainer.runs.folder import RunFolder
from trainer.runs.run_weights import RunWeights
from trainer.training.train import train

SMALL = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(data, products, folder): in it the runs a, b (of smaller pictures) and fused."""
    folder = tmp_path_factory.mktemp("loaded")
    data = SmallData(folder)
    data.add("train", make_products(np.arange(18) % 6))
    products = make_products(np.arange(9) % 6, seed=1, first_id=1000)
    data.add("validation", products)
    for name, size in (("a", SIZE), ("b", SMALL)):
        network = build_model("logistic", 6, image_size=size, seed=size)
        write_network_run(folder / name, data, best=network, image_size=size, epochs=2)
    members = write_members(folder, data)
    train(config_of(folder / "fused", members, data, epochs=1), folder / "fused", data)
    return data, products, folder


def loaded(world, *names, mean="arithmetic", **selection):
    folder = world[2]
    if len(names) == 1:
        chosen = RunSelection(run_dir=str(folder / names[0]), **selection)
    else:
        chosen = RunSelection(run_dirs=",".join(str(folder / name) for name in names), **selection)
    return load_runs(chosen, NetworkOptions(), mean)


def source(world, name, mean="arithmetic"):
    options = PredictionOptions(mean=mean, keep_predictions=False)
    run = loaded_folder(world, name)
    return open_source(run, world[0], options, "tf")


def loaded_folder(world, name):
    return RunFolder(world[2] / name)


def predicted(runs, products):
    pictures = {
        size: np.stack([decode_jpeg(jpeg, size) for one in products for jpeg in one.images])
        for size in runs.image_sizes
    }
    ordinals = np.repeat(np.arange(len(products)), [len(one.images) for one in products])
    return runs.predict(pictures, ordinals)


def assert_same(batch, expected):
    np.testing.assert_array_equal(batch.num_pictures, expected.num_pictures)
    np.testing.assert_allclose(batch.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(
        batch.picture_probabilities, expected.picture_probabilities, atol=1e-6
    )


@pytest.mark.parametrize("mean", ["arithmetic", "vote"])
def test_a_run_predicts_as_its_evaluation(world, mean):
    data, products, _ = world
    expected = collected(source(world, "a", mean).predict(data.split("validation")))
    assert_same(predicted(loaded(world, "a", mean=mean), products), expected)


@pytest.mark.parametrize("run_mean", ["arithmetic", "geometric"])
@pytest.mark.parametrize("names", [("a", "b"), ("b", "fused")])
def test_a_mixture_predicts_as_its_evaluation(world, names, run_mean):
    data, products, _ = world
    sources = [source(world, name) for name in names]
    mixed = MixedSource(sources, (0.25, 0.75), run_mean)
    expected = collected(mixed.predict(data.split("validation")))
    runs = loaded(world, *names, run_weights="1,3", run_mean=run_mean)
    assert_same(predicted(runs, products), expected)
    assert runs.takes_products == ("fused" in names)
    assert runs.image_sizes == ((SIZE, SMALL) if names == ("a", "b") else (SMALL, SIZE))
    assert [row["share"] for row in runs.made_from] == [0.25, 0.75]
    assert [row["run"] for row in runs.made_from] == list(names)


def test_a_fused_run_predicts_as_its_evaluation(world):
    data, products, _ = world
    expected = collected(source(world, "fused").predict(data.split("validation")))
    assert_same(predicted(loaded(world, "fused"), products), expected)


def test_pictures_are_predicted_as_by_the_saved_model(world):
    """Several runs, of pictures of two sizes."""
    _, products, folder = world
    selection = RunSelection(run_dirs=f"{folder}/a,{folder}/b", run_mean="geometric")
    served, _ = load_served(selection, NetworkOptions(), "float32")
    jpegs = [jpeg for one in products for jpeg in one.images]
    batch = predicted(load_runs(selection, NetworkOptions(), "arithmetic"), products)
    expected = served.forward(tf.constant(jpegs)).numpy()
    np.testing.assert_allclose(batch.picture_probabilities, expected, atol=1e-6)


def test_temperatures_are_those_of_the_run(world):
    _, products, _ = world
    plain = predicted(loaded(world, "a"), products)
    run = loaded_folder(world, "a")
    sha256 = RunWeights.of(run, "best").sha256
    keep_calibration(
        run,
        CalibratedMethod(sha256, False, (1.0,), "arithmetic"),
        Calibration(3.0, 2.0, "validation", 9, 9, 1.0, 0.9),
    )
    try:
        hot = predicted(loaded(world, "a"), products)
        other_rule = predicted(loaded(world, "a", mean="max"), products)
    finally:
        run.path.joinpath("calibration.json").unlink()
    assert np.abs(plain.probabilities - hot.probabilities).max() > 1e-3
    np.testing.assert_allclose(hot.probabilities, tempered(plain.probabilities, 3.0))
    of_pictures = tempered(plain.picture_probabilities, 2.0)
    np.testing.assert_allclose(hot.picture_probabilities, of_pictures)
    # That of products was fitted for another rule; that of pictures depends on none.
    np.testing.assert_allclose(other_rule.picture_probabilities, of_pictures)
    rows = [place for place, one in enumerate(products) if len(one.images) == 1]
    assert rows
    np.testing.assert_allclose(other_rule.probabilities[rows], plain.probabilities[rows], atol=1e-6)


def test_what_cannot_be_loaded_is_refused(world):
    with pytest.raises(PredictionError, match="must be numbers here.*Received: fit. Name those"):
        loaded(world, "a", "b", run_weights="fit")
    with pytest.raises(PredictionError, match="fused is a fused run.*Received: --mean=max"):
        loaded(world, "fused", mean="max")
    write_network_run(
        world[2] / "copy",
        world[0],
        best=build_model("logistic", 6, image_size=SIZE, seed=SIZE),
        epochs=2,
    )
    with pytest.raises(MixtureError, match="must have different weights"):
        loaded(world, "a", "copy")
