import pytest

from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import history, write_evaluation, write_run, write_two_stage
from trainer.reporting.accuracy_cells import with_error
from trainer.reporting.confusion_sections import level1_confusions
from trainer.reporting.evaluation_sections import table_of_evaluations
from trainer.reporting.example_sections import examples
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs
from trainer.runs.evaluation_parts import KnownPictures
from trainer.runs.prediction_method import MeanChoice


def table_of(runs):
    return table_of_evaluations(evaluations(runs), runs)


def _error(value, error):
    return f'{value}<div class="note">± {error}</div>'


@pytest.mark.parametrize(
    ("value", "count", "cell"),
    [
        (0.5, 100, _error("0.5000", "0.0500")),
        (0.9, 10_000, _error("0.9000", "0.0030")),
        (1.0, 82, "1.0000"),  # the estimate would be 0
        (0.0, 82, "0.0000"),
        (0.0, 0, "0.0000"),
    ],
)
def test_binomial_errors(value, count, cell):
    assert with_error(value, count) == cell


def test_every_measure_appears(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder)
    write_evaluation(
        folder,
        "train[:9]",
        checkpoint="last",
        flip=True,
        scales=(1.0, 1.15),
        mean="geometric",
        level2=None,
        deduplicated=None,
    )
    html = table_of(load_runs([tmp_path / "run"]))
    # The errors are sqrt(p * (1 - p) / n), of 1,234 products; of 1,000 in the last column.
    columns = ["1,234", "2,345", _error("0.5625", "0.0141"), "0.4375"]
    columns += [_error("0.6875", "0.0132"), "0.6250", _error("0.8125", "0.0111")]
    for last in ([_error("0.6562", "0.0135"), _error("0.5432", "0.0158")], ["–", "–"]):
        assert "\n".join(f'<td class="number">{cell}</td>' for cell in columns + last) in html
    method = "last checkpoint, with mirror images, at scales 1, 1.15, geometric over pictures"
    assert f'train[:9]<div class="note">{method}</div>' in html
    assert "Not evaluated yet" not in html


def test_evaluations_of_other_weights_are_marked(tmp_path, data):
    fresh = write_run(tmp_path / "fresh", data, history([0.1]))
    write_evaluation(fresh)
    trained_on = write_run(tmp_path / "trained on", data, history([0.1]))
    write_evaluation(trained_on, weights_sha256="6" * 64)
    write_evaluation(trained_on, "train", weights_sha256=None)
    runs = load_runs([tmp_path / "fresh", tmp_path / "trained on"])
    rows = str(table_of(runs)).split("<tr>")[2:]
    mark = '<span class="stale">out of date: the run has other weights now'
    assert [mark in row for row in rows] == [False, True, False]
    assert ["weights not recorded" in row for row in rows] == [False, False, True]
    for section in (
        level1_confusions(evaluations(runs), Figures()),
        examples(evaluations(runs), DataSets(), 3),
    ):
        headings = section.split("<h3>")[1:]
        assert ["(out of date: the run has" in heading for heading in headings] == [
            False,
            True,
            False,
        ]


def test_a_chosen_rule_and_known_pictures_are_told(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    choice = MeanChoice("vote", "arithmetic", "train[:9]", 9, 0.0125, 0.004)
    known = KnownPictures(1100, 1001, 25, 0.5625, 0.575)
    write_evaluation(folder, mean="vote", mean_choice=choice, known_pictures=known)
    html = table_of(load_runs([tmp_path / "run"]))
    assert "vote over pictures, chosen on train[:9]: +0.0125 ± 0.0040 against arithmetic" in html
    assert (
        "<p>run on validation: 1,100 of 1,234 products show a picture of a single training "
        "category, which is right for 1,001. With --known_pictures, 25 change, and accuracy goes "
        "from 0.5625 to 0.5750.</p>"
    ) in html


def test_commands_that_evaluate_what_is_not(tmp_path, data):
    write_run(tmp_path / "two words", data, history([0.1]))
    write_run(tmp_path / "new", data, [])
    write_two_stage(tmp_path / "two", data, {0: 0.5})
    write_two_stage(tmp_path / "half", data, {0: 0.5}).two_stage_path.unlink()
    paths = [tmp_path / name for name in ("two words", "new", "two", "half")]
    html = table_of(load_runs(paths))
    assert html == (
        "<p>Not evaluated yet. Run:</p><pre>"
        f"python -m trainer.evaluate --run_dir=&#39;{tmp_path}/two words&#39;\n"
        f"python -m trainer.evaluate --run_dir={tmp_path}/two</pre>\n"
        "<p>Not trained far enough to be evaluated: new, half.</p>"
    )
