"""Evaluation and submission of several runs together."""

import json
import shutil

import numpy as np
import pytest

from tests.helpers.fake_runs import history, write_run
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData, make_products, small_config
from trainer.data.label_map import LabelMapError
from trainer.models.networks import build_model
from trainer.prediction.evaluation import (
    EvaluationError,
    check_output,
    evaluate_run,
    evaluate_runs,
    write_result,
)
from trainer.prediction.evaluation_table import table
from trainer.prediction.mixture_rules import MixtureError
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.sources import RunSource
from trainer.prediction.submission import submit, submit_runs
from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.terminal.option import OptionError
from trainer.training.two_stage import train_two_stage


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2, 3, 4, 5] * 3))
    data.add("validation", make_products([0, 1, 2, 3, 4, 5] * 2, seed=1, first_id=100), shards=3)
    data.add("other", make_products([0, 1, 2], seed=3, first_id=300))
    data.add("test", make_products([0, 1, 2, 3] * 3, seed=2, first_id=200, unlabelled=True))
    for module in ("evaluation", "submission"):
        name = f"trainer.prediction.{module}.open_dataset"
        monkeypatch.setattr(name, lambda data_dir: data)
    return data


@pytest.fixture
def runs(data, tmp_path):
    """Two runs, whose networks take pictures of different sizes."""
    for number, size in enumerate((SIZE, 12)):
        network = build_model("logistic", 6, image_size=size, seed=number)
        write_network_run(tmp_path / f"run{number}", data, best=network, image_size=size)
    return f"{tmp_path}/run0,{tmp_path}/run1"


def _rows(data, folder, split):
    """A run's probabilities of each product."""
    source = RunSource(RunFolder(folder), data, PredictionOptions(), "tf")
    batches = list(source.predict(data.split(split)))
    return np.concatenate([batch.probabilities for batch in batches])


def test_the_evaluation_of_a_mixture(data, runs, tmp_path):
    selection = RunSelection(run_dirs=runs, run_weights="3,1")
    result = evaluate_runs(selection, options=PredictionOptions(batch_size=5))
    zero, one = (_rows(data, folder, "validation") for folder in runs.split(","))
    labels = data.split("validation").index.category
    mixed = 0.75 * zero + 0.25 * one
    assert result.counts.product.accuracy == (mixed.argmax(axis=1) == labels).mean()
    loss = -np.log(mixed[np.arange(12), labels]).mean()
    assert result.counts.product.loss == pytest.approx(loss, rel=1e-5)
    mixture = result.method.mixture
    assert (mixture.mean, mixture.fit) == ("arithmetic", None)
    assert [(run.run, run.weight) for run in mixture.runs] == [("run0", 0.75), ("run1", 0.25)]
    folders = [RunFolder(folder) for folder in runs.split(",")]
    assert [run.sha256 for run in mixture.runs] == [run.state.best.sha256 for run in folders]
    assert result.method.weights_sha256 is None
    assert "arithmetic mean of 2 runs:\n  0.7500  run0\n  0.2500  run1\n" in table(result)

    path = check_output(selection, f"{tmp_path}/mixed.json")
    assert write_result(path, result) == path
    assert EvaluationResult.read(path) == result
    assert not list(tmp_path.glob("run*/evaluation"))


def test_fitted_weights_are_written(data, runs, tmp_path):
    result = evaluate_runs(RunSelection(run_dirs=runs, run_weights="fit", run_mean="geometric"))
    fit, members = result.method.mixture.fit, result.method.mixture.runs
    assert (fit.split, fit.num_products) == ("validation", 12)
    assert fit.loss <= fit.loss_of_equal_weights
    assert result.counts.product.loss == pytest.approx(fit.loss, rel=1e-4)
    assert sum(run.weight for run in members) == pytest.approx(1)
    assert "weights fitted on validation (12 products): loss" in table(result)
    write_result(tmp_path / "mixed.json", result)
    assert EvaluationResult.read(tmp_path / "mixed.json") == result


def test_each_run_chooses_its_own_rule(data, runs):
    result = evaluate_runs(RunSelection(run_dirs=runs), options=PredictionOptions(mean="auto"))
    members = result.method.mixture.runs
    assert all(run.mean_choice.mean == run.mean for run in members)
    assert set(result.method.mean.split(", ")) == {run.mean for run in members}
    assert "--mean=auto: " in table(result)


def test_the_submission_of_a_mixture(data, runs, tmp_path):
    selection = RunSelection(run_dirs=runs, run_mean="geometric")
    assert submit_runs(selection, tmp_path / "mixed.csv") == 12
    zero, one = (_rows(data, folder, "test") for folder in runs.split(","))
    index = data.split("test").index
    predicted = data.categories.category_ids[(zero * one).argmax(axis=1)]
    expected = dict(zip(index.product_id.tolist(), predicted.tolist(), strict=True))
    lines = (tmp_path / "mixed.csv").read_text().splitlines()[1:]
    assert {int(a): int(b) for a, b in (line.split(",") for line in lines)} == expected
    made_from = json.loads((tmp_path / "mixed.csv.made_from.json").read_text())
    assert made_from["mean"] == "geometric"
    assert [run["weight"] for run in made_from["runs"]] == [0.5, 0.5]
    assert made_from["split"] == "test" and len(made_from["file_sha256"]) == 64


def test_all_weight_on_one_run_is_that_run(data, runs, tmp_path):
    mixed = evaluate_runs(RunSelection(run_dirs=runs, run_weights="0,1"))
    alone = evaluate_run(tmp_path / "run1")
    assert mixed.counts.product == alone.counts.product
    assert mixed.counts.picture == alone.counts.picture
    assert mixed.counts.deduplicated == alone.counts.deduplicated


def test_a_two_stage_run_predicts_together_with_a_plain_one(data, runs, tmp_path):
    train_two_stage(small_config(target="level1"), small_config(), tmp_path / "two", data)
    result = evaluate_runs(RunSelection(run_dirs=f"{tmp_path}/run0,{tmp_path}/two"))
    assert result.counts.num_products == 12
    assert [run.epoch for run in result.method.mixture.runs] == [0, None]


# What is refused.


def _mix(tmp_path, *names, **flags):
    folders = ",".join(str(tmp_path / name) for name in names)
    return evaluate_runs(RunSelection(run_dirs=folders, **flags))


def test_another_target_is_refused(data, runs, tmp_path):
    write_network_run(tmp_path / "level1", data, target="level1")
    with pytest.raises(MixtureError, match="same classes apart.*6 classes.*level1 with 3 classes"):
        _mix(tmp_path, "run0", "level1")


def test_other_categories_are_refused(data, runs, tmp_path):
    (tmp_path / "more").mkdir()
    more = SmallData(tmp_path / "more")
    lines = more.categories_path.read_text().splitlines()
    more.categories_path.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    more.categories = type(more.categories).from_csv(more.categories_path)
    write_network_run(tmp_path / "foreign", more, best=build_model("logistic", 6, image_size=SIZE))
    with pytest.raises(MixtureError, match="same classes apart.*run0 with 6.*foreign with 6"):
        _mix(tmp_path, "run0", "foreign")
    write_network_run(tmp_path / "foreign2", more, best=build_model("logistic", 6, image_size=SIZE))
    with pytest.raises(LabelMapError, match="same categories in the same order"):
        _mix(tmp_path, "foreign", "foreign2")


def test_an_unfinished_run_is_refused(data, runs, tmp_path):
    write_run(tmp_path / "half", data, history([0.5]), finished=False)
    with pytest.raises(MixtureError, match="must be finished. The training of .*half is not"):
        _mix(tmp_path, "run0", "half")
    write_run(tmp_path / "new", data, [])
    with pytest.raises(RunFolderError, match="has no checkpoint yet"):
        _mix(tmp_path, "run0", "new")
    with pytest.raises(RunFolderError, match="does not exist"):
        _mix(tmp_path, "run0", "none")
    (tmp_path / "new" / "level1").mkdir()
    with pytest.raises(RunFolderError, match="two-stage run that is not finished.*two_stage"):
        _mix(tmp_path, "run0", "new")
    with pytest.raises(RunFolderError, match="two-stage run that is not finished.*two_stage"):
        evaluate_run(tmp_path / "new")


def test_a_copy_of_a_run_is_refused(data, runs, tmp_path):
    shutil.copytree(tmp_path / "run0", tmp_path / "copy")
    with pytest.raises(MixtureError, match="different weights. .* same ones in .*run0 and .*copy"):
        _mix(tmp_path, "run0", "copy")


def test_other_validation_splits_need_a_split(data, runs, tmp_path):
    write_network_run(
        tmp_path / "third",
        data,
        best=build_model("logistic", 6, image_size=SIZE, seed=2),
        validation_split="other",
    )
    with pytest.raises(MixtureError, match="same validation split.*run0: validation, .*third: oth"):
        _mix(tmp_path, "run0", "third")
    folders = f"{tmp_path}/run0,{tmp_path}/third"
    assert evaluate_runs(RunSelection(run_dirs=folders), "validation").counts.num_products == 12
    with pytest.raises(MixtureError, match="same validation split"):
        evaluate_runs(RunSelection(run_dirs=folders, run_weights="fit"), "validation")


def test_weights_are_not_fitted_on_products_that_a_run_was_trained_on(data, runs, tmp_path):
    network = build_model("logistic", 6, image_size=SIZE, seed=2)
    write_network_run(tmp_path / "third", data, best=network, train_split="validation")
    with pytest.raises(MixtureError, match="no run was trained on. .*third was trained on val"):
        _mix(tmp_path, "run0", "third", run_weights="fit")


def test_wrong_scales_and_rules_are_found_before_the_work(data, runs, tmp_path):
    (tmp_path / "run0" / "checkpoints" / "best.weights.h5").unlink()  # never reached
    with pytest.raises(OptionError, match="--scales must be different numbers"):
        evaluate_run(tmp_path / "run0", options=PredictionOptions(scales="9"))
    with pytest.raises(OptionError, match="--scales must be different numbers"):
        submit(tmp_path / "run0", tmp_path / "s.csv", options=PredictionOptions(scales="9"))
    with pytest.raises(PredictionError, match="arithmetic, geometric, .* Received: 'mode'"):
        evaluate_run(tmp_path / "run0", options=PredictionOptions(mean="mode"))


def test_where_the_evaluation_goes(runs, tmp_path):
    several, one = RunSelection(run_dirs=runs), RunSelection(run_dir=f"{tmp_path}/run0")
    assert check_output(one, None) is None
    with pytest.raises(EvaluationError, match="kept in its folder, .* --output=x.json. Leave it"):
        check_output(one, "x.json")
    for output in (None, f"{tmp_path}/mixed.csv", f"{tmp_path}/none/mixed.json", str(tmp_path)):
        with pytest.raises(EvaluationError, match="needs --output, a .json file in an existing"):
            check_output(several, output)
    (tmp_path / "run1" / "evaluation").mkdir()
    with pytest.raises(EvaluationError, match="is not that of .*run1, .*outside the runs' folders"):
        check_output(several, f"{tmp_path}/run1/evaluation/mixed.json")


def test_one_run_is_submitted_as_before(data, runs, tmp_path):
    submit(tmp_path / "run0", tmp_path / "one.csv")
    submit_runs(RunSelection(run_dirs=runs, run_weights="1,0"), tmp_path / "mixed.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "mixed.csv").read_bytes()
