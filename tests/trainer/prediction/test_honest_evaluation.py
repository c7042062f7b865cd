"""Temperatures, thresholds, classes and known pictures in evaluations and submissions."""

import dataclasses
import json

import numpy as np
import pytest

from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction.evaluation import evaluate_run, evaluate_runs, write_result
from trainer.prediction.evaluation_table import table
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.submission import submit
from trainer.prediction.trained_products import KnownPicturesError
from trainer.runs.calibration_file import CalibratedMethod, read_calibrations
from trainer.runs.category_file import path_beside
from trainer.runs.evaluation_file import EvaluationResult

KNOWN = PredictionOptions(known_pictures=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    train = make_products([0, 0, 0, 0, 1, 1, 2, 3])
    validation = make_products([0, 1, 2, 3, 4, 5] * 2, seed=1, first_id=100)
    test = make_products([0, 1, 2], seed=2, first_id=200, unlabelled=True)
    validation[1].images[0] = train[4].images[0]  # of category 1, as is the product itself
    validation[2].images[0] = train[7].images[0]  # of category 3, which is wrong
    test[2].images[0] = train[6].images[0]
    data.add("train", train)
    data.add("validation", validation)
    data.add("test", test)
    for module in ("evaluation", "submission"):
        name = f"trainer.prediction.{module}.open_dataset"
        monkeypatch.setattr(name, lambda data_dir: data)
    return data


@pytest.fixture
def run(data, tmp_path):
    """A run that is sure of category 5 for every picture."""
    network = build_model("logistic", 6, image_size=SIZE)
    network.layers[-2].kernel.assign(0 * network.layers[-2].kernel)
    network.layers[-2].bias.assign(np.log([1, 1, 1, 1, 1, 95]).astype(np.float32))
    return write_network_run(tmp_path / "run", data, best=network)


def test_a_calibrated_run_is_as_sure_as_it_is_right(run):
    before = evaluate_run(run.path)
    assert before.method.calibration is None
    # Each of the twelve products, two of them right, is a bin of its own.
    assert before.counts.reliability.ece == pytest.approx((10 * 0.95 + 2 * 0.05) / 12, abs=1e-5)
    after = evaluate_run(run.path, calibrate=True)
    # Two of twelve are right, so the honest prediction is 1/6 for each of the classes.
    assert after.counts.product.loss == pytest.approx(np.log(6), rel=1e-2)
    assert after.counts.reliability.ece_before == pytest.approx(before.counts.reliability.ece)
    assert after.counts.reliability.ece < before.counts.reliability.ece
    for level in ("product", "picture"):
        ours, theirs = getattr(after.counts, level), getattr(before.counts, level)
        assert ours.accuracy == theirs.accuracy
        assert ours.loss < theirs.loss
    calibration = after.method.calibration
    assert calibration.loss_before == pytest.approx(before.counts.product.loss, rel=1e-5)
    assert calibration.loss == pytest.approx(after.counts.product.loss, rel=1e-5)
    assert f"with temperature {calibration.product:.3f} (fitted on validation)" in table(after)
    assert "without temperature (--calibrate fits one)" in table(before)

    method = CalibratedMethod(run.state.best.sha256, False, (1.0,), "arithmetic")
    assert read_calibrations(run) == {method: calibration}
    assert evaluate_run(run.path).counts == after.counts  # the temperature is kept
    other = evaluate_run(run.path, options=PredictionOptions(mean="max"))
    assert other.method.calibration is None  # it belongs to another method


def test_the_temperature_of_a_mixture_is_not_kept_in_a_run(run, data, tmp_path):
    write_network_run(
        tmp_path / "other", data, best=build_model("logistic", 6, image_size=SIZE, seed=1)
    )
    evaluate_run(run.path, calibrate=True)
    selection = RunSelection(run_dirs=f"{run.path},{tmp_path}/other")
    plain, calibrated = (evaluate_runs(selection, calibrate=value) for value in (False, True))
    assert plain.method.calibration is None
    assert calibrated.method.calibration.num_products == 12
    assert calibrated.counts.product.loss < plain.counts.product.loss
    assert len(read_calibrations(run)) == 1
    assert not (tmp_path / "other" / "calibration.json").exists()


def test_results_by_category_and_group(run):
    result = evaluate_run(run.path)
    path = write_result(run.path, result)
    assert path_beside(path).exists()
    rows = result.categories
    assert [row.level for row in rows] == [3] * 6 + [2] * 5 + [1] * 3
    assert [row.training_products for row in rows[:6]] == [4, 2, 1, 1, 0, 0]
    assert [row.products for row in rows[:6]] == [2] * 6
    assert [row.predicted for row in rows[:6]] == [0] * 5 + [12]
    assert [row.recall for row in rows[:6]] == [0] * 5 + [1]
    # Of eight training products, 4 are in the head, 2 in the middle, 2 in the tail.
    assert [row.group for row in rows[:6]] == ["head", "middle", "tail", "tail", "tail", "tail"]
    head, middle, tail = result.counts.groups
    assert (head.num_products, middle.num_products, tail.num_products) == (2, 2, 8)
    assert (head.accuracy, tail.accuracy, tail.mean_recall) == (0, 1 / 4, 1 / 4)
    assert tail.level1 == 1 / 4  # nothing but MISC is predicted
    shown = table(result)
    assert "head               1           2      0.0000      0.0000      0.0000" in shown
    assert EvaluationResult.read(path) == result


def test_without_the_training_split_there_are_no_groups(run, data):
    del data.splits["train"]
    result = evaluate_run(run.path)
    assert result.counts.groups is None
    assert {row.group for row in result.categories} == {None}
    with pytest.raises(KnownPicturesError, match="needs the run's training split"):
        evaluate_run(run.path, options=KNOWN)


def test_known_pictures_in_an_evaluation(run):
    result = evaluate_run(run.path, options=KNOWN)
    known = result.counts.known_pictures
    assert (known.num_known, known.num_known_right, known.num_changed) == (2, 1, 2)
    assert (known.accuracy_before, known.accuracy) == (2 / 12, 3 / 12)
    # The other figures are without known pictures.
    plain = evaluate_run(run.path)
    assert result.counts == dataclasses.replace(plain.counts, known_pictures=known)
    assert "2 products show a picture of a single training category" in table(result)
    assert "2 change, accuracy 0.1667 -> 0.2500" in table(result)
    assert EvaluationResult.read(write_result(run.path, result)) == result


def test_known_pictures_of_products_trained_on_are_refused(run):
    with pytest.raises(KnownPicturesError, match="train shares 8 products with the training split"):
        evaluate_run(run.path, "train", KNOWN)


def test_known_pictures_of_several_runs_are_those_that_all_were_trained_on(run, data, tmp_path):
    fewer = make_products([0, 0, 0, 0, 1, 1, 2, 3])[5:]  # not the product whose picture is known
    data.add("fewer", fewer)
    network = build_model("logistic", 6, image_size=SIZE, seed=1)
    write_network_run(tmp_path / "other", data, best=network, train_split="fewer")
    selection = RunSelection(run_dirs=f"{run.path},{tmp_path}/other", run_weights="1,0")
    result = evaluate_runs(selection, options=KNOWN)
    assert result.counts.known_pictures.num_known == 1
    assert sum(row.training_products or 0 for row in result.categories) == 3
    # A picture that any run was trained on is not new.
    assert result.counts.deduplicated == evaluate_run(run.path).counts.deduplicated


def test_known_pictures_in_a_submission(run, data, tmp_path):
    submit(run.path, tmp_path / "plain.csv")
    submit(run.path, tmp_path / "known.csv", options=KNOWN)
    plain, known = (
        dict(line.split(",") for line in (tmp_path / name).read_text().splitlines()[1:])
        for name in ("plain.csv", "known.csv")
    )
    product_id = str(data.split("test").index.product_id[2])
    ids = data.categories.category_ids
    assert set(plain.values()) == {str(ids[5])}
    assert known == plain | {product_id: str(ids[2])}
    made_from = json.loads((tmp_path / "known.csv.made_from.json").read_text())
    assert made_from["known_pictures"] == 1
