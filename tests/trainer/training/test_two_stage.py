import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SIZE, SmallData, make_products, small_config
from trainer.models.joined import join_networks
from trainer.models.networks import build_model
from trainer.prediction.evaluation import evaluate_run
from trainer.prediction.loading import load_network, load_predictor
from trainer.prediction.submission import submit
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.settings.config import ConfigError
from trainer.settings.settings import Settings
from trainer.training import two_stage
from trainer.training.two_stage import (
    TwoStageError,
    fixed_second_stage,
    needs_specialist,
    stage_configs,
    train_two_stage,
)

LEVEL1 = small_config(target="level1")
SPECIALIST = small_config(epochs=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """HOME (0, 1, 3) and BOOKS (2, 4) need a specialist, MISC (5) has one category only."""
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products([0, 1, 2, 3, 4, 5] * 4))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5] * 2, seed=1, first_id=100))
    data.add("test", make_products([0, 1, 2, 3], seed=2, first_id=200, unlabelled=True))
    return data


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> RunFolder:
    return train_two_stage(LEVEL1, SPECIALIST, tmp_path_factory.mktemp("runs") / "run", data)


def _pictures(count=5):
    rng = np.random.default_rng(0)
    return tf.constant(rng.integers(0, 256, [count, SIZE, SIZE, 3]).astype(np.uint8))


def _probabilities(model):
    return keras.ops.softmax(model(_pictures())).numpy()


# The joined network.


def test_the_joined_network_multiplies_the_two_stages():
    level1_of_category = np.array([0, 0, 1, 0, 1, 2])
    general = build_model("logistic", 3, image_size=SIZE, seed=1)
    home = build_model("logistic", 3, image_size=SIZE, seed=2)
    books = build_model("logistic", 2, image_size=SIZE, seed=3)
    joined = join_networks(general, {0: home, 1: books}, {2: np.array([1.0])}, level1_of_category)
    first, second = _probabilities(general), _probabilities(home)
    expected = np.empty([5, 6])
    expected[:, [0, 1, 3]] = first[:, [0]] * second
    expected[:, [2, 4]] = first[:, [1]] * _probabilities(books)
    expected[:, 5] = first[:, 2]
    np.testing.assert_allclose(_probabilities(joined), expected, rtol=1e-5)
    log_probabilities = joined(_pictures())
    assert log_probabilities.dtype == "float32"
    np.testing.assert_allclose(np.exp(log_probabilities), expected, rtol=1e-5)


def test_a_fixed_second_stage_is_multiplied_as_well():
    general = build_model("logistic", 2, image_size=SIZE, seed=1)
    priors = {0: np.array([0.25, 0.75]), 1: np.array([1.0])}
    joined = join_networks(general, {}, priors, np.array([0, 1, 0]))
    first = _probabilities(general)
    expected = np.stack([0.25 * first[:, 0], first[:, 1], 0.75 * first[:, 0]], axis=1)
    np.testing.assert_allclose(_probabilities(joined), expected, rtol=1e-5)


def test_a_sure_first_stage_gives_no_nan():
    general = build_model("logistic", 2, image_size=SIZE, seed=1)
    general.layers[-2].bias.assign([1e6, -1e6])
    joined = join_networks(general, {}, {0: np.ones(1), 1: np.ones(1)}, np.array([0, 1]))
    np.testing.assert_allclose(_probabilities(joined), [[1.0, 0.0]] * 5)


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({0: np.ones(1)}, "either a specialist or a prior. Label 1 has neither"),
        ({0: np.ones(1), 1: np.ones(2)}, "Label 1 has 1 categories, its second stage 2 outputs"),
    ],
)
def test_every_level1_category_needs_a_fitting_second_stage(priors, message):
    general = build_model("logistic", 2, image_size=SIZE)
    with pytest.raises(ValueError, match=message):
        join_networks(general, {}, priors, np.array([0, 1]))


# Which specialists there are.


def test_a_specialist_needs_two_trained_categories_and_a_validation_product(data):
    level1 = data.categories.level1
    train, validation = data.split("train"), data.split("validation")
    assert needs_specialist(train, validation, level1).tolist() == [True, True, False]
    only_crime = data.add("only crime", make_products([0, 1, 2, 2]))
    assert needs_specialist(only_crime, validation, level1).tolist() == [True, False, False]
    no_books = data.add("no books", make_products([0, 5]))
    assert needs_specialist(train, no_books, level1).tolist() == [True, False, False]


def test_products_without_pictures_do_not_count(data):
    products = make_products([2, 4, 4])
    products[0].images[:] = []
    split = data.add("no pictures", products)
    needed = needs_specialist(split, data.split("validation"), data.categories.level1)
    assert not needed.any()


def test_a_fixed_second_stage_is_the_smoothed_share_of_training_products(data):
    split = data.add("few", make_products([0, 0, 0, 1, 5]))
    assert fixed_second_stage(split, np.array([0, 1, 3])).tolist() == [4 / 7, 2 / 7, 1 / 7]
    assert fixed_second_stage(split, np.array([2, 4])).tolist() == [0.5, 0.5]
    assert fixed_second_stage(split, np.array([5])).tolist() == [1.0]


# A run.


def test_a_finished_run_says_what_its_parts_are(finished):
    assert finished.is_two_stage and finished.config.target == "category"
    parts = json.loads(finished.two_stage_path.read_text())
    assert parts["level1"] == "level1"
    assert parts["specialists"] == {"0": "specialists/00", "1": "specialists/01"}
    assert parts["priors"] == {"2": [1.0]}
    folders = [RunFolder(finished.path / part) for part in ("level1", "specialists/01")]
    assert [len(folder.history) for folder in folders] == [1, 2]
    assert [folder.label_map.num_classes for folder in folders] == [3, 2]


def test_a_finished_run_predicts_the_product_of_its_parts(finished, data):
    network = load_predictor(finished.path, data)
    pictures = _pictures()
    level1, home, books = (
        load_predictor(finished.path / part, data).probabilities(pictures)
        for part in ("level1", "specialists/00", "specialists/01")
    )
    product = network.probabilities(pictures)
    np.testing.assert_allclose(product[:, [0, 1, 3]], level1[:, [0]] * home, rtol=1e-4)
    np.testing.assert_allclose(product[:, [2, 4]], level1[:, [1]] * books, rtol=1e-4)


def test_a_finished_run_is_evaluated_and_submitted_as_any_other(
    finished, data, tmp_path, monkeypatch
):
    for module in ("evaluation", "submission"):
        name = f"trainer.prediction.{module}.open_dataset"
        monkeypatch.setattr(name, lambda data_dir: data)
    result = evaluate_run(finished.path).counts
    alone = evaluate_run(finished.path / "level1").counts
    assert result.num_products == 12
    assert result.level1 == alone.level1
    assert submit(finished.path, tmp_path / "submission.csv") == 4


def test_a_finished_run_is_not_trained_again(finished, data):
    before = _bytes_of_checkpoints(finished)
    train_two_stage(LEVEL1, SPECIALIST, finished.path, data)
    assert _bytes_of_checkpoints(finished) == before
    assert len(before) >= 2 * 3


def _bytes_of_checkpoints(run):
    files = [*run.path.rglob("checkpoints/*"), *run.path.rglob("state.json")]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_stopped_run_goes_on_with_the_network_it_was_at(finished, data, tmp_path, monkeypatch):
    train, trained = two_stage.train, []

    def stop_once_at_the_second_specialist(config, run_dir, data):
        trained.append(config.within_level1)
        if trained == [None, 0, 1]:
            raise KeyboardInterrupt
        return train(config, run_dir, data)

    monkeypatch.setattr(two_stage, "train", stop_once_at_the_second_specialist)
    with pytest.raises(KeyboardInterrupt):
        train_two_stage(LEVEL1, SPECIALIST, tmp_path / "run", data)
    with pytest.raises(RunFolderError, match="two-stage run that is not finished"):
        load_predictor(tmp_path / "run", data)
    run = train_two_stage(LEVEL1, SPECIALIST, tmp_path / "run", data)
    assert trained == [None, 0, 1, None, 0, 1]
    ours, expected = load_network(run), load_network(finished)
    for weights, others in zip(ours.weights, expected.weights, strict=True):
        assert np.array_equal(weights, others)


def test_a_folder_of_one_network_is_refused(finished, data):
    with pytest.raises(RunFolderError, match="level1 holds a run of one network"):
        train_two_stage(LEVEL1, SPECIALIST, finished.path / "level1", data)


def test_one_network_is_not_trained_into_a_two_stage_run(finished, data):
    from trainer.training.train import train

    with pytest.raises(RunFolderError, match="holds a two-stage run, which `python -m trainer.two"):
        train(SPECIALIST, finished.path, data)


def test_other_settings_are_refused(finished, data):
    other = dataclasses.replace(SPECIALIST, seed=1)
    with pytest.raises(ConfigError, match=r"--seed: the run has 0, received 1"):
        train_two_stage(LEVEL1, other, finished.path, data)


def test_a_part_in_anothers_place_is_refused(finished, data, tmp_path):
    run = RunFolder(shutil.copytree(finished.path, tmp_path / "run"))
    parts = json.loads(run.two_stage_path.read_text())
    parts["specialists"]["0"] = "specialists/01"
    run.two_stage_path.write_text(json.dumps(parts))
    with pytest.raises(RunFolderError, match="specialists/01 for another part of the two-stage"):
        load_predictor(run.path, data)


# Settings.


def test_both_stages_have_the_given_settings(data):
    settings = Settings.of(
        train_split="train",
        validation_split="validation",
        model="solution1_2",
        optimizer="rmsprop",
        epochs=3,
        precision="float32",
    )
    level1, specialist = stage_configs(
        settings, data, specialist_model="logistic", specialist_epochs=5
    )
    assert (level1.target, level1.model, level1.epochs) == ("level1", "solution1_2", 3)
    assert (specialist.target, specialist.model, specialist.epochs) == ("category", "logistic", 5)
    assert level1.optimizer == specialist.optimizer == "rmsprop"
    _, same = stage_configs(settings, data)
    assert (same.model, same.epochs) == ("solution1_2", 3)


def test_another_target_is_refused(data):
    with pytest.raises(TwoStageError, match="Received: --target=level2. Leave --target out."):
        stage_configs(Settings.of(target="level2"), data)
