"""Runs, mixtures and other files among the paths of a report."""

import json

from tests.helpers.fake_runs import evaluation_of, guesses_of, history, write_evaluation, write_run
from tests.helpers.mixed_evaluations import mixture_of
from trainer.reporting.reported_paths import ReportedPaths
from trainer.runs.category_file import CategoryRow


def test_everything_in_a_folder_of_runs(tmp_path, data):
    runs = tmp_path / "runs"
    run = write_run(runs / "cnn", data, history([0.5]))
    write_evaluation(run)
    evaluation_of(
        run,
        mixture=mixture_of({"cnn": "5" * 64}),
        categories=(CategoryRow(3, 1, "a", None, None, 1, 1, 1),),
        guesses=guesses_of([0], [0]),
    ).write(runs / "mixed.json")
    (runs / "notes.txt").write_text("my favourite runs")
    (runs / "list.json").write_text("[]")
    (runs / "cut.json").write_text('{"mixture": {"me')
    (runs / "bytes.json").write_bytes(b"\xff\xfe")
    # What lies beside a submission of a mixture is no evaluation.
    (runs / "made_from.json").write_text(json.dumps({"mixture": {"mean": "arithmetic"}}))
    (runs / "one.json").write_bytes((run.evaluation / "validation.json").read_bytes())
    (runs / "other.guesses.npy").write_bytes(b"")
    found = ReportedPaths.of([*sorted(runs.iterdir()), str(tmp_path / "missing")])
    assert found.run_dirs == [runs / "cnn", str(tmp_path / "missing")]
    assert found.mixtures == [runs / "mixed.json"]
    assert found.skipped == [
        *("bytes.json", "cut.json", "list.json", "made_from.json", "notes.txt", "one.json"),
        "other.guesses.npy",
    ]


def test_a_mixture_of_a_newer_version_is_one(tmp_path):
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps({"format": 99, "mixture": {"runs": []}, "level1_confusion": []}))
    assert ReportedPaths.of([path]).mixtures == [path]


def test_no_paths():
    assert ReportedPaths.of([]) == ReportedPaths([], [], [])
