"""Thresholds from evaluations, and evaluations that are of other predictions."""

import dataclasses
import json
import shutil

import pytest

from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.models.networks import build_model
from trainer.prediction.acceptance_options import AcceptanceOptions
from trainer.prediction.acceptance_rule import AcceptanceError
from trainer.prediction.classification import open_classifier
from trainer.prediction.evaluation import evaluate_run, evaluate_runs, write_result
from trainer.prediction.mixture_rules import MixtureError
from trainer.prediction.options import PredictionOptions, SourceOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.selected_runs import select_runs
from trainer.prediction.sources import RunSource
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.terminal.option import OptionError

PRECISION = AcceptanceOptions(precision=0.9)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Data, and two runs whose networks see colours, as their classes are."""
    folder = tmp_path_factory.mktemp("world")
    data = SmallData(folder)
    data.add("train", make_products([0, 1, 2, 3, 4, 5] * 3))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5] * 5, seed=1, first_id=1000))
    for seed in (0, 1):
        network = build_model("logistic", 6, image_size=SIZE, seed=seed)
        write_network_run(folder / f"run{seed}", data, best=network)
    return data, folder


@pytest.fixture
def run(world, tmp_path, monkeypatch):
    """A run without evaluations, in a folder of its own."""
    data, folder = world
    for module in ("evaluation", "classification"):
        monkeypatch.setattr(f"trainer.prediction.{module}.open_dataset", lambda data_dir: data)
    for name in ("run0", "run1"):
        shutil.copytree(folder / name, tmp_path / name)
    return RunFolder(tmp_path / "run0")


def _rule(run, acceptance, **how):
    selection = RunSelection(run_dir=str(run.path))
    return open_classifier(selection, SourceOptions(**how), acceptance, 1).rule


def _evaluated(run, calibrate=False, **how):
    result = evaluate_run(run.path, options=PredictionOptions(**how), calibrate=calibrate)
    return result, write_result(run.path, result)


def test_without_flags_nothing_is_accepted_or_not(run):
    rule = _rule(run, AcceptanceOptions())
    assert (rule.applies, rule.threshold, rule.calibration) == (False, None, None)


def test_a_threshold_by_hand_needs_no_evaluation(run):
    rule = _rule(run, AcceptanceOptions(threshold=0.4))
    assert (rule.applies, rule.threshold, rule.expected) == (True, 0.4, None)
    with pytest.raises(OptionError, match="Received: both --threshold and --precision"):
        _rule(run, AcceptanceOptions(threshold=0.4, precision=0.9))


def test_the_threshold_of_a_precision_is_that_of_the_validation(run, world):
    result, _ = _evaluated(run)
    (row,) = [row for row in result.counts.reliability.acceptance if row.wanted == 0.9]
    rule = _rule(run, PRECISION)
    assert (rule.applies, rule.threshold, rule.expected) == (True, row.threshold, row)


def test_a_calibrated_run_gives_calibrated_probabilities(run):
    result, _ = _evaluated(run, calibrate=True)
    assert result.method.calibration.product != 1
    rule = _rule(run, PRECISION)
    assert rule.calibration == result.method.calibration
    assert _rule(run, AcceptanceOptions()).calibration == rule.calibration
    assert _rule(run, AcceptanceOptions(), flip=True).calibration is None


def test_the_command_that_makes_a_missing_evaluation_is_named(run):
    with pytest.raises(
        AcceptanceError,
        match=r"(?s)evaluation/validation.json does not exist. Make it with:\n  python -m "
        r"trainer.evaluate --run_dir=\S+/run0 --calibrate --flip --mean=max$",
    ):
        _rule(run, PRECISION, flip=True, mean="max")


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ({"flip": True}, "flip=False, scales=1"),
        ({"scales": "1,1.15"}, "flip=False, scales=1"),
        ({"mean": "max"}, "mean=arithmetic"),
    ],
)
def test_an_evaluation_of_another_method_is_refused(run, how, fault):
    _evaluated(run)
    with pytest.raises(AcceptanceError, match=f"is of others: {fault}. Evaluate again with"):
        _rule(run, PRECISION, **how)


def test_an_evaluation_of_other_weights_or_temperatures_is_refused(run, world):
    _, path = _evaluated(run)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"weights_sha256": "0" * 64}))
    with pytest.raises(AcceptanceError, match="is of others: other weights"):
        _rule(run, PRECISION)
    path.write_text(json.dumps(content))
    evaluate_run(run.path, calibrate=True)  # keeps temperatures; its result is not written
    with pytest.raises(AcceptanceError, match="is of others: another temperature, or none"):
        _rule(run, PRECISION)


def test_an_evaluation_without_this_precision(run):
    _, path = _evaluated(run)
    with pytest.raises(AcceptanceError, match=r"threshold for: 0.9, 0.95, 0.99. Received: 0.97\."):
        _rule(run, AcceptanceOptions(precision=0.97))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"reliability": None}))
    with pytest.raises(AcceptanceError, match="has none: an earlier version"):
        _rule(run, PRECISION)


def test_a_precision_that_no_threshold_reaches_accepts_nothing(run, caplog):
    _, path = _evaluated(run)
    content = json.loads(path.read_text())
    for row in content["reliability"]["acceptance"]:
        row.update(threshold=None, share=0.0, accuracy=0.0)
    path.write_text(json.dumps(content))
    rule = _rule(run, PRECISION)
    assert (rule.applies, rule.threshold) == (True, None)
    assert "No threshold reaches a precision of 0.9" in caplog.text


def test_several_runs_take_threshold_and_temperature_from_their_evaluation(run, tmp_path):
    folders = f"{run.path},{run.path.parent / 'run1'}"
    selection = RunSelection(run_dirs=folders, run_weights="0.7,0.3")
    with pytest.raises(AcceptanceError, match="Name it with --evaluation=FILE.json"):
        open_classifier(selection, SourceOptions(), PRECISION, 1)
    result = evaluate_runs(selection, calibrate=True)
    path = write_result(tmp_path / "mixed.json", result)
    named = dataclasses.replace(PRECISION, evaluation=str(path))
    classifier = open_classifier(selection, SourceOptions(), named, 1)
    assert classifier.rule.calibration == result.method.calibration
    (row,) = [row for row in result.counts.reliability.acceptance if row.wanted == 0.9]
    assert classifier.rule.threshold == row.threshold
    other = dataclasses.replace(selection, run_weights="0.5,0.5")
    with pytest.raises(
        AcceptanceError,
        match=r"run_weights=0.7,0.3. Evaluate again with:\n.*--run_weights=0.5,0.5 --run_mean=ari",
    ):
        open_classifier(other, SourceOptions(), named, 1)
    with pytest.raises(AcceptanceError, match="is of others: of several runs"):
        _rule(run, named)


def test_what_needs_the_data_set_says_so(run, monkeypatch):
    source = RunSource(run, None, SourceOptions(mean="auto"), "tf")
    with pytest.raises(PredictionError, match="needs the data set. Name a rule instead"):
        source.settle_mean()
    folders = [run, RunFolder(run.path.parent / "run1")]
    selection = RunSelection(
        run_dirs=",".join(str(folder.path) for folder in folders), run_weights="fit"
    )
    with pytest.raises(MixtureError, match="needs the data set. Give the weights as numbers"):
        select_runs(selection, folders, None, SourceOptions(), "tf")


def test_a_rule_is_chosen_on_the_data_set(run):
    classifier = open_classifier(
        RunSelection(run_dir=str(run.path)), SourceOptions(mean="auto"), AcceptanceOptions(), 1
    )
    assert classifier.selected.choices[0].split == "validation"


def test_a_run_without_class_names_is_an_error(run):
    run.categories_path.unlink()
    with pytest.raises(RunFolderError, match="must hold the categories .*It is missing"):
        _rule(run, AcceptanceOptions())
