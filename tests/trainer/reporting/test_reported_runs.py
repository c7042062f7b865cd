import os

import pytest

from tests.helpers.fake_runs import history, write_evaluation, write_run, write_two_stage
from tests.helpers.small_data import SmallData
from trainer.reporting.reported_runs import Validated, by_target, load_runs
from trainer.reporting.run_styles import style_of
from trainer.runs.folder import RunFolderError
from trainer.runs.state import Checkpoint, RunState
from trainer.settings.experiments import EXPERIMENTS


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return SmallData(tmp_path / "data")


def test_a_finished_run(tmp_path, data):
    rows = history([0.1, 0.4, 0.3])
    write_run(tmp_path / "cnn", data, rows, experiment="solution2_exp2")
    (run,) = load_runs([tmp_path / "cnn"])
    assert run.name == "cnn"
    assert run.style == style_of(0)
    assert list(run.history) == rows
    assert (run.best_epoch, run.best_row) == (1, rows[1])
    assert run.validation == Validated(0.4, 0.5, pytest.approx(0.6))
    assert run.shortfall == ""
    assert run.can_be_evaluated
    assert run.experiment is EXPERIMENTS["solution2_exp2"]
    assert run.target_title == "Categories (6 classes)"


def test_speed_is_that_of_the_last_stage(tmp_path, data):
    stages = ["head", "head", "top_blocks", "top_blocks", "top_blocks"]
    write_run(tmp_path / "run", data, history([0.1] * 5, stages))
    (run,) = load_runs([tmp_path / "run"])
    assert run.last_stage_median("seconds") == 23
    assert run.last_stage_median("pictures_per_second") == 1003


def test_unfinished_runs_say_so(tmp_path, data):
    write_run(tmp_path / "new", data, [], epochs=10)
    write_run(tmp_path / "some", data, history([0.1, 0.2]), finished=False, epochs=10)
    write_run(tmp_path / "early", data, history([0.1, 0.2, 0.3]), epochs=10)
    first = write_run(tmp_path / "first", data, [], epochs=10)
    first.state_path.write_text(RunState((Checkpoint(),)).to_json())  # in its first epoch
    new, some, early, first = load_runs(
        tmp_path / name for name in ("new", "some", "early", "first")
    )
    assert new.shortfall == "unfinished, no checkpoint yet"
    assert some.shortfall == "unfinished, 2 of 10 epochs"
    assert early.shortfall == "stopped early, 3 of 10 epochs"
    assert first.shortfall == "unfinished, 0 of 10 epochs"
    assert [run.can_be_evaluated for run in (new, some, early, first)] == [False, True, True, False]
    assert new.best_row is first.best_row is None
    assert new.last_stage_median("seconds") is None


def test_a_two_stage_run(tmp_path, data):
    folder = write_two_stage(tmp_path / "two", data, {0: 0.5, 1: 0.6})
    whole, level1 = load_runs([tmp_path / "two"])
    assert (whole.name, level1.name) == ("two", "two/level1")
    assert whole.is_two_stage and not whole.is_part
    assert level1.is_part and not level1.is_two_stage
    assert whole.shortfall == "" and whole.can_be_evaluated
    assert [part.name for part in whole.specialists] == ["two/00", "two/01"]
    assert whole.specialists[1].target_title == "Categories within BOOKS (2 classes)"
    # The preset is that of the level-1 network; the study never put the two stages together.
    assert whole.experiment is None
    assert level1.experiment is EXPERIMENTS["solution1_exp2"]
    assert whole.validation is None
    write_evaluation(folder)
    whole, _ = load_runs([tmp_path / "two"])
    assert whole.validation == Validated(0.4375, 0.5625, 0.625)
    write_evaluation(folder, weights_sha256="6" * 64)  # of weights that it no longer has
    whole, _ = load_runs([tmp_path / "two"])
    assert whole.validation is None


def test_an_unfinished_two_stage_run(tmp_path, data):
    folder = write_two_stage(tmp_path / "two", data, {0: 0.5, 1: 0.6})
    folder.two_stage_path.unlink()
    whole, _ = load_runs([tmp_path / "two"])
    assert whole.is_two_stage
    assert whole.shortfall == "unfinished, 2 specialists so far"
    assert not whole.can_be_evaluated


def test_the_validation_splits_evaluation_comes_first(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    for split in ("all", "validation", "zoo"):
        write_evaluation(folder, split)
    (run,) = load_runs([tmp_path / "run"])
    assert [result.method.split for result in run.evaluations] == ["validation", "all", "zoo"]


def test_names_are_as_short_as_they_can_be(tmp_path, data):
    for name in ("a/cnn", "b/cnn", "b/inception"):
        write_run(tmp_path / name, data, [])
    assert [run.name for run in load_runs([tmp_path / "a/cnn", tmp_path / "b/inception"])] == [
        "cnn",
        "inception",
    ]
    paths = [tmp_path / "a/cnn", tmp_path / "b/cnn"]
    assert [run.name for run in load_runs(paths)] == ["a/cnn", "b/cnn"]


def test_runs_are_grouped_by_what_they_tell_apart(tmp_path, data):
    (tmp_path / "other").mkdir()
    other = SmallData(tmp_path / "other")
    other.categories_path.write_text(data.categories_path.read_text().replace("1000010", "7"))
    other = type(other.categories).from_csv(other.categories_path)
    settings = [{"target": "level1"}, {}, {"target": "level2"}, {"within_level1": 0}, {}]
    for place, values in enumerate(settings):
        write_run(tmp_path / f"run{place}", data, [], **values)
    foreign = SmallData(tmp_path / "other")
    foreign.categories = other
    foreign.categories_path.write_text(data.categories_path.read_text().replace("1000010", "7"))
    write_run(tmp_path / "foreign", foreign, [])
    names = ["run0", "run1", "run2", "run3", "run4", "foreign"]
    groups = by_target(load_runs(tmp_path / name for name in names))
    grouped = [[run.name for run in group] for group in groups]
    assert sorted(grouped) == [["foreign"], ["run0"], ["run1", "run4"], ["run2"], ["run3"]]
    titles = [group[0].target_title for group in groups]
    assert titles[-2:] == ["Level 1 (3 classes)", "Level 2 (5 classes)"]
    assert "Categories within HOME (3 classes)" in titles


def test_no_run(tmp_path):
    with pytest.raises(RunFolderError) as error:
        load_runs([])
    assert str(error.value) == (
        "A report needs at least one run. Received: none. Name the runs' folders: `python -m "
        "trainer.report runs/* --output=report.html`."
    )
    with pytest.raises(RunFolderError, match=r"holds config\.json.*does not exist\."):
        load_runs([tmp_path / "missing"])


def test_a_run_given_twice(tmp_path, data, monkeypatch):
    write_run(tmp_path / "run", data, [])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError) as error:
        load_runs([tmp_path / "run", "run/"])
    path = os.path.abspath(tmp_path / "run")
    assert str(error.value) == f"A report names each run once. Received twice: {path}."


def test_a_folder_that_was_stopped_while_it_was_made(tmp_path, data):
    write_run(tmp_path / "run", data, []).label_map_path.unlink()
    with pytest.raises(RunFolderError) as error:
        load_runs([tmp_path / "run"])
    assert str(error.value) == (
        f"{tmp_path / 'run'} was stopped before training began: it has no label_map.json yet. "
        "Start the command that made it again, or leave it out of the report."
    )
