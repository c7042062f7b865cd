"""What a run in training replaces while another command loads it."""

import json

import numpy as np
import pytest

from tests.helpers.network_runs import write_network_run, write_state
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction import evaluation, loading, submission
from trainer.prediction.evaluation import evaluate_run
from trainer.runs.checkpoint import CheckpointError
from trainer.runs.run_weights import RunWeights


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5]))
    data.add("validation", make_products([0, 1, 2, 3], seed=1, first_id=100))
    for module in (evaluation, submission):
        monkeypatch.setattr(module, "open_dataset", lambda data_dir: data)
    return data


@pytest.fixture
def run(data, tmp_path):
    return write_network_run(tmp_path / "run", data)


def _finish_an_epoch(run):
    """What training does at the end of an epoch, with other weights; returns the network."""
    network = build_model("logistic", 6, image_size=SIZE, seed=7)
    write_state(run, network, None)
    return network


@pytest.mark.parametrize("removed", [True, False])
def test_weights_that_are_replaced_meanwhile_are_loaded_anew(run, monkeypatch, removed):
    replaced, verified_path = [], loading.verified_path

    def slow(folder, file):
        path = None if removed and not replaced else verified_path(folder, file)
        if not replaced:
            replaced.append(_finish_an_epoch(run))
        if path is None:
            raise CheckpointError("Every file that state.json names must exist.")
        return path

    monkeypatch.setattr(loading, "verified_path", slow)
    predictor = loading.load_predictor(run)
    assert predictor.weights == RunWeights.of(run, "best")
    for ours, expected in zip(predictor.model.weights, replaced[0].weights, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("module", [evaluation, submission])
def test_a_result_names_the_weights_that_it_was_computed_with(run, tmp_path, module, monkeypatch):
    begun, predict_products = RunWeights.of(run, "best"), module.predict_products

    def meanwhile(*args, **kwargs):
        _finish_an_epoch(run)
        return predict_products(*args, **kwargs)

    monkeypatch.setattr(module, "predict_products", meanwhile)
    if module is evaluation:
        named = evaluate_run(run.path).method.weights_sha256
    else:
        submission.submit(run.path, tmp_path / "s.csv", split="validation")
        named = json.loads((tmp_path / "s.csv.made_from.json").read_text())["sha256"]
    assert named == begun.sha256 != RunWeights.of(run, "best").sha256
