import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.records import Product
from tests.helpers.network_runs import write_network_run, write_state
from tests.helpers.small_data import SIZE, SmallData, make_products, small_config
from trainer.data.label_map import LabelMap, LabelMapError
from trainer.data.labelled_split import LabelledSplit
from trainer.data.tf_decoding import decode_jpeg
from trainer.models.networks import build_model
from trainer.prediction.loading import load_predictor
from trainer.prediction.predictor import PredictionError, Predictor, predict_products
from trainer.prediction.priors import training_prior
from trainer.prediction.validation import Validator
from trainer.prediction.views import Views
from trainer.runs.checkpoint import CheckpointError
from trainer.runs.folder import RunFolderError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5, 0, 0, 1, 2] * 2))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5, 0], seed=1, first_id=100))
    data.add("test", make_products([0, 1, 2, 3], seed=2, first_id=200, unlabelled=True))
    return data


def _model(num_classes=6, seed=0):
    return build_model("logistic", num_classes, image_size=SIZE, weights="none", seed=seed)


def _expected(model, product: Product) -> np.ndarray:
    """Probabilities [pictures, classes] of a product, without any of the predictor's code."""
    pictures = tf.stack([decode_jpeg(jpeg, SIZE) for jpeg in product.images])
    return keras.ops.softmax(model(pictures)).numpy()


def test_records_of_other_products_are_refused(data):
    """Shards of another build: every prediction would go to another product."""
    split = data.split("test")
    network = Predictor(_model(), LabelMap(data.categories), image_size=SIZE)
    index = dataclasses.replace(split.index, product_id=np.roll(split.index.product_id, 1))
    swapped = dataclasses.replace(split, index=index)
    for products in (None, np.array([1])):
        with pytest.raises(
            DatasetError,
            match="those of its index, in the index's order. The shards of 'test' in .* hold oth",
        ):
            list(predict_products(network, swapped, batch_size=3, products=products))


# Predicting a split.


@pytest.mark.parametrize(
    ("batch_size", "mean"), [(1, "arithmetic"), (3, "arithmetic"), (64, "arithmetic"), (3, "max")]
)
def test_each_product_gets_its_pictures_joined(data, batch_size, mean):
    products = make_products([0, 1, 2, 3, 4, 5, 0], seed=1, first_id=100)
    split, model = data.split("validation"), _model()
    network = Predictor(model, LabelMap(data.categories), image_size=SIZE)
    batches = list(predict_products(network, split, batch_size=batch_size, mean=mean))
    assert np.concatenate([batch.ordinals for batch in batches]).tolist() == list(range(7))
    probabilities = np.concatenate([batch.probabilities for batch in batches])
    for product, row in zip(products, probabilities, strict=True):
        expected = getattr(_expected(model, product), "max" if mean == "max" else "mean")(axis=0)
        np.testing.assert_allclose(row, expected / expected.sum(), rtol=1e-5)
    assert np.array_equal(
        np.concatenate([batch.num_pictures for batch in batches]), split.index.num_pictures
    )
    pictures = np.concatenate([batch.picture_ordinals for batch in batches])
    assert np.array_equal(pictures, np.repeat(np.arange(7), split.index.num_pictures))


def test_only_the_wanted_products_are_predicted(data):
    network = Predictor(_model(), LabelMap(data.categories), image_size=SIZE)
    split = data.split("validation")
    every = np.concatenate(
        [batch.probabilities for batch in predict_products(network, split, batch_size=4)]
    )
    wanted = np.array([1, 2, 6])
    batches = list(predict_products(network, split, batch_size=4, products=wanted))
    assert np.concatenate([batch.ordinals for batch in batches]).tolist() == wanted.tolist()
    np.testing.assert_allclose(
        np.concatenate([batch.probabilities for batch in batches]), every[wanted], rtol=1e-5
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_product_without_a_readable_picture_gets_the_prior(data, caplog, batch_size):
    products = make_products([0] * 5, seed=3, unlabelled=True)
    products[1].images[:] = []
    products[3].images[:] = [b"\xff\xd8\xff no picture"]
    split = data.add("damaged", products)
    prior = training_prior(data.split("train"), LabelMap(data.categories))
    network = Predictor(_model(), LabelMap(data.categories), image_size=SIZE, prior=prior)
    batches = list(predict_products(network, split, batch_size=batch_size))
    ordinals = np.concatenate([batch.ordinals for batch in batches])
    assert sorted(ordinals) == list(range(5))
    rows = np.concatenate([batch.probabilities for batch in batches])
    counts = np.concatenate([batch.num_pictures for batch in batches])
    for place in (1, 3):
        assert np.array_equal(rows[ordinals == place][0], prior)
        assert counts[ordinals == place] == 0
    assert counts[ordinals == 0] == len(products[0].images)
    assert "2 of 5 products have no readable picture: they get the training prior" in caplog.text


def test_the_prior_is_the_share_of_training_products(data):
    prior = training_prior(data.split("train"), LabelMap(data.categories))
    assert prior.tolist() == pytest.approx([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    level1 = training_prior(data.split("train"), LabelMap(data.categories, "level1"))
    assert level1.tolist() == pytest.approx([0.6, 0.3, 0.1])
    within = training_prior(data.split("train"), LabelMap(data.categories, within_level1=1))
    assert within.tolist() == pytest.approx([2 / 3, 1 / 3])
    unknown = training_prior(data.split("test"), LabelMap(data.categories))
    assert unknown.tolist() == pytest.approx([1 / 6] * 6)


def test_flip_averages_with_the_mirror_image(data):
    model = _model()
    network = Predictor(model, LabelMap(data.categories), image_size=SIZE, views=Views(flip=True))
    pictures = np.random.default_rng(0).integers(0, 256, [3, SIZE, SIZE, 3]).astype(np.uint8)
    softmax = [keras.ops.softmax(model(x)).numpy() for x in (pictures, pictures[:, :, ::-1])]
    np.testing.assert_allclose(
        network.probabilities(tf.constant(pictures)), (softmax[0] + softmax[1]) / 2, rtol=1e-5
    )


def test_a_predictor_follows_its_model(data):
    model = _model()
    network = Predictor(model, LabelMap(data.categories), image_size=SIZE)
    pictures = tf.zeros([1, SIZE, SIZE, 3], tf.uint8)
    before = network.probabilities(pictures)
    model.layers[-2].bias.assign([9.0, 0, 0, 0, 0, 0])
    assert before[0, 0] < 0.5 < network.probabilities(pictures)[0, 0]


def test_a_diverged_network_is_an_error_not_a_prediction(data):
    model = _model()
    model.layers[-2].bias.assign([math.nan, 0, 0, 0, 0, 0])
    network = Predictor(model, LabelMap(data.categories), image_size=SIZE)
    with pytest.raises(PredictionError, match="must be finite numbers.*--checkpoint=best"):
        list(predict_products(network, data.split("test"), batch_size=4))


def test_a_network_must_fit_its_label_map(data):
    with pytest.raises(PredictionError, match="Received: 5 outputs for 6 classes"):
        Predictor(_model(5), LabelMap(data.categories), image_size=SIZE)


def test_validation_counts_by_picture_and_by_product(data):
    model = _model()
    label_map = LabelMap(data.categories)
    result = Validator(model, label_map, small_config()).validate(
        LabelledSplit(data.split("validation"), label_map)
    )
    products = make_products([0, 1, 2, 3, 4, 5, 0], seed=1, first_id=100)
    by_picture = [(row, p.category) for p in products for row in _expected(model, p)]
    by_product = [(_expected(model, p).mean(axis=0), p.category) for p in products]
    assert result.accuracy == np.mean([row.argmax() == label for row, label in by_picture])
    assert result.product_accuracy == np.mean([r.argmax() == label for r, label in by_product])
    assert result.loss == pytest.approx(
        -np.mean([np.log(row[label]) for row, label in by_picture]), rel=1e-5
    )
    in_top5 = [label in np.argsort(-row)[:5] for row, label in by_picture]
    assert result.top5_accuracy == np.mean(in_top5)


def test_a_specialist_is_validated_on_its_own_products(data):
    label_map = LabelMap(data.categories, within_level1=1)
    validator = Validator(_model(2), label_map, small_config())
    result = validator.validate(LabelledSplit(data.split("validation"), label_map))
    assert result.product_accuracy in (0.0, 0.5, 1.0)  # categories 2 and 4, one product each
    with pytest.raises(PredictionError, match="needs products with labels of this run's classes"):
        validator.validate(LabelledSplit(data.split("test"), label_map))


# Loading a run.


@pytest.fixture
def run(data, tmp_path):
    """A finished run whose two epochs have different weights."""
    return write_network_run(tmp_path / "run", data, best=_model(seed=0), last=_model(seed=1))


@pytest.mark.parametrize(("seed", "checkpoint"), enumerate(("best", "last")))
def test_a_run_is_loaded_with_the_weights_of_the_checkpoint(run, data, seed, checkpoint):
    network = load_predictor(run.path, data, checkpoint=checkpoint)
    for ours, expected in zip(network.model.weights, _model(seed=seed).weights, strict=True):
        assert np.array_equal(ours, expected)
    assert network.prior.tolist() == pytest.approx([0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
    assert keras.config.dtype_policy().name == "float32"


def test_without_its_training_split_the_prior_is_uniform(run, data, caplog):
    del data.splits["train"]
    assert load_predictor(run.path, data).prior.tolist() == pytest.approx([1 / 6] * 6)
    assert "that the run learnt from are not in the data set" in caplog.text


def test_a_missing_checkpoint_is_named(run):
    (run.checkpoints / "best.weights.h5").unlink()
    with pytest.raises(CheckpointError, match="must exist. Missing: .*best.weights.h5"):
        load_predictor(run.path)


def test_a_damaged_checkpoint_is_refused(run):
    path = run.checkpoints / "best.weights.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs.*the file is damaged"):
        load_predictor(run.path)


def test_another_networks_checkpoint_is_refused(run):
    write_state(run, _model(5), None)
    with pytest.raises(
        CheckpointError, match="holds those of another than --model=logistic with 6 classes"
    ):
        load_predictor(run.path)
    with pytest.raises(RunFolderError, match="no finished epoch yet. Start `python -m trainer.mai"):
        load_predictor(run.path, checkpoint="last")


def test_an_unknown_checkpoint_is_refused(run):
    with pytest.raises(CheckpointError, match="one of best, last. Received: 'first'"):
        load_predictor(run.path, checkpoint="first")


def test_a_data_set_with_other_categories_is_refused(run, tmp_path):
    other = SmallData(tmp_path)
    lines = other.categories_path.read_text().splitlines()
    other.categories_path.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    other.categories = type(other.categories).from_csv(other.categories_path)
    with pytest.raises(LabelMapError, match="same categories in the same order"):
        load_predictor(run.path, other)


def test_an_unfinished_two_stage_run_says_so(run):
    run.state_path.unlink()
    (run.path / "level1").mkdir()
    with pytest.raises(RunFolderError, match="two-stage run that is not finished.*two_stage"):
        load_predictor(run.path)
