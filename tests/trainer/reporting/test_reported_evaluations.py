"""The evaluations of a report, and the runs of mixtures."""

import pytest

from tests.helpers.fake_runs import (
    WEIGHTS_SHA256,
    evaluation_of,
    example,
    history,
    write_evaluation,
    write_run,
)
from tests.helpers.mixed_evaluations import mixture_of
from trainer.reporting.reported_evaluations import MixtureError, evaluations
from trainer.reporting.reported_runs import load_runs
from trainer.reporting.run_styles import style_of

OTHER = "7" * 64


@pytest.fixture
def runs(tmp_path, data):
    write_run(tmp_path / "b", data, history([0.5]))
    write_run(tmp_path / "level1", data, history([0.7]), target="level1")
    return load_runs([tmp_path / "b", tmp_path / "level1"])


def write_mixture(path, run, shas, **changes):
    evaluation_of(run.folder, mixture=mixture_of(shas), **changes).write(path)
    return path


def test_runs_come_first_each_with_its_own(runs):
    write_evaluation(runs[0].folder)
    write_evaluation(runs[0].folder, "train", weights_sha256=OTHER)
    (run, level1) = load_runs([one.folder.path for one in runs])
    found = evaluations([run, level1])
    assert [(one.name, one.split, one.is_stale) for one in found] == [
        ("b", "validation", False),
        ("b", "train", True),
    ]
    assert all(one.run is run and one.style == run.style and not one.members for one in found)


def test_a_mixture_finds_its_runs_by_their_weights(tmp_path, runs):
    # A run with these weights under another name, and one that is not in the report.
    path = write_mixture(tmp_path / "mixed.json", runs[0], {"gone": OTHER, "old": WEIGHTS_SHA256})
    (one,) = evaluations(runs, [path])
    assert (one.name, one.style, one.is_stale) == ("mixed.json", style_of(2), False)
    assert one.run is runs[0]
    assert [(member.run, member.is_stale) for member in one.members] == [
        (None, False),
        (runs[0], False),
    ]


def test_a_run_that_was_trained_on_makes_a_mixture_stale(tmp_path, runs):
    path = write_mixture(tmp_path / "mixed.json", runs[0], {"b": OTHER})
    (one,) = evaluations(runs, [path])
    assert one.is_stale and one.members[0].is_stale and one.run is runs[0]
    assert "out of date" in one.heading


def test_a_mixture_needs_one_of_its_runs(tmp_path, runs):
    path = write_mixture(tmp_path / "mixed.json", runs[0], {"x": OTHER, "y": "8" * 64})
    with pytest.raises(MixtureError, match="was evaluated with x, y. Name at least one of their"):
        evaluations(runs, [path])
    with pytest.raises(MixtureError, match="Received twice: .*mixed.json"):
        evaluations(runs, [path, path])


def test_a_run_of_the_same_name_with_fewer_classes_is_another(tmp_path, runs):
    level1 = runs[1]  # three classes
    examples = [example(1, 5, 0, 0.5)]
    path = write_mixture(tmp_path / "mixed.json", runs[0], {"level1": OTHER}, examples=examples)
    with pytest.raises(MixtureError, match="Name at least one"):
        evaluations([level1], [path])
    write_mixture(path, runs[0], {"level1": OTHER})
    assert evaluations([level1], [path])[0].run is level1
    names = [*runs[0].label_map.categories.level1_names[:-1], "OTHER"]
    write_mixture(path, runs[0], {"level1": OTHER}, level1_names=names)
    with pytest.raises(MixtureError, match="Name at least one"):
        evaluations([level1], [path])


def test_mixtures_of_one_name_are_told_apart(tmp_path, runs):
    paths = [tmp_path / folder / "mixed.json" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        write_mixture(path, runs[0], {"b": WEIGHTS_SHA256})
    assert [one.name for one in evaluations(runs, paths)] == ["one/mixed.json", "two/mixed.json"]
