"""What a run in training replaces while another command loads it."""

import dataclasses
import json

import numpy as np
import pytest

from tests.helpers.network_runs import write_network_run, write_state
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction import evaluation, loading, sources, submission
from trainer.prediction.evaluation import evaluate_run
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import PredictionError
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


@pytest.mark.parametrize("command", ["evaluate", "submit"])
@pytest.mark.parametrize("moment", ["load_predictor", "predict_pictures"])
def test_a_result_names_the_weights_that_it_was_computed_with(
    run, tmp_path, command, moment, monkeypatch
):
    begun, original = RunWeights.of(run, "best"), getattr(sources, moment)

    def meanwhile(*args, **kwargs):
        _finish_an_epoch(run)
        return original(*args, **kwargs)

    monkeypatch.setattr(sources, moment, meanwhile)
    if command == "evaluate":
        named = evaluate_run(run.path).method.weights_sha256
    else:
        submission.submit(run.path, tmp_path / "s.csv", split="validation")
        named = json.loads((tmp_path / "s.csv.made_from.json").read_text())["sha256"]
    now = RunWeights.of(run, "best")
    assert begun.sha256 != now.sha256
    # Loaded before the epoch ended, or after.
    assert named == (begun if moment == "predict_pictures" else now).sha256


def test_kept_predictions_are_not_continued_with_other_weights(run, data):
    split, options = data.split("validation"), PredictionOptions(decoder="tf")
    source = sources.RunSource(run, data, options, "tf")
    _ = source.predictor
    source.weights = dataclasses.replace(source.weights, sha256="of the epoch before")
    with pytest.raises(PredictionError, match="goes on and has replaced those of the kept"):
        next(source._computed(split, np.arange(split.num_products), 0))
