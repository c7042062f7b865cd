import re

import pytest

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import history, write_evaluation, write_run, write_two_stage
from tests.helpers.small_data import SmallData, make_products
from trainer.reporting import pictures, training_sections
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import by_target, load_runs


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2] * 4))
    data.add("validation", make_products([0, 1, 2], first_id=100))
    monkeypatch.setattr(pictures, "open_dataset", lambda data_dir: data)
    return data


def _groups(tmp_path, *names):
    return by_target(load_runs(tmp_path / name for name in names))


def _cells(html, start):
    """The texts of the table's row that begins with `start`."""
    for row in re.findall("<tr>(.*?)</tr>", html, re.S):
        cells = [re.sub("<.*?>", " ", cell) for cell in re.findall("<td.*?>(.*?)</td>", row, re.S)]
        cells = [" ".join(cell.split()) for cell in cells]
        if cells and start in cells[0]:
            return cells
    raise AssertionError(f"no row of {start}")


def test_a_studys_experiment_stands_beside_its_published_figures(tmp_path, data):
    write_run(
        tmp_path / "cnn",
        data,
        history([0.1, 0.4, 0.3]),
        model="cnn",
        optimizer="adam",
        experiment="solution2_exp2",
    )
    html = training_sections.tables(_groups(tmp_path, "cnn"), DataSets())
    assert _cells(html, "cnn") == [
        "● cnn",
        "cnn",
        "adam float32",
        "12",
        "3",
        "3",
        "21",
        "1,001",
        "2",
        "0.4000",
        "0.5000",
        "0.6000",
        "Solution 2, exp. 2",
        "0.2424 (4)",
        "0.2469",
    ]
    assert "Categories (6 classes)" in html
    assert "different validation splits" not in html


def test_a_run_of_ones_own_beside_a_studys_experiment(tmp_path, data):
    write_run(tmp_path / "cnn", data, history([0.1]), experiment="solution2_exp2")
    write_run(tmp_path / "own", data, history([0.1]))
    html = training_sections.tables(_groups(tmp_path, "cnn", "own"), DataSets())
    assert _cells(html, "own")[-4:] == ["0.3000", "–", "–", "–"]
    assert _cells(html, "cnn")[-1] == "0.2469"


def test_what_is_said_of_other_runs(tmp_path, data):
    stages = ["head", "head", "top_blocks"]
    write_run(
        tmp_path / "staged",
        data,
        history([0.1, 0.2, 0.3], stages),
        model="inception",
        weights="/w/pretrained.weights.h5",
        trainable="staged",
        experiment="inception_all",
    )
    write_run(tmp_path / "new", data, [], epochs=5)
    html = training_sections.tables(_groups(tmp_path, "staged", "new"), DataSets())
    staged = _cells(html, "staged")
    assert staged[1] == "inception pretrained.weights.h5, staged"
    assert staged[5] == "3 2 head, 1 top_blocks"
    new = _cells(html, "new")
    assert new[0] == "■ new unfinished, no checkpoint yet"
    assert new[5:] == ["0"] + ["–"] * 6
    assert "study" not in html  # neither repeats an experiment with published results


def test_chunks_have_a_published_accuracy_each(tmp_path, data):
    write_run(tmp_path / "run", data, history([0.1]), target="level1", experiment="solution1_exp1")
    html = training_sections.tables(_groups(tmp_path, "run"), DataSets())
    assert _cells(html, "run")[-3:] == [
        "Solution 1, exp. 1",
        "0.5756, 0.3516, 0.3504, 0.3131",
        "–",
    ]


def test_two_stage_runs_are_compared_by_their_evaluation(tmp_path, data):
    folder = write_two_stage(tmp_path / "two", data, {0: 0.5, 1: 0.6})
    write_evaluation(folder)
    groups = _groups(tmp_path, "two")
    html = training_sections.tables(groups, DataSets())
    assert _cells(html, "● two")[1] == "solution1_2 then 2 specialists: cnn"
    assert _cells(html, "● two")[5:] == ["–"] * 4 + ["0.4375", "0.5625", "0.6250"]
    assert _cells(html, "two/level1")[9:12] == ["0.7000", "0.8000", "0.9000"]
    assert html.index("Categories (6 classes)") < html.index("Level 1 (3 classes)")
    summaries = [training_sections.summary(group) for group in groups]
    assert "<b>56.2%</b>" in summaries[0]
    assert "<b>80.0%</b>" in summaries[1]


def test_different_validation_splits_are_pointed_out(tmp_path, data):
    write_run(tmp_path / "a", data, history([0.1]))
    write_run(tmp_path / "b", data, history([0.1]), validation_split="train")
    html = training_sections.tables(_groups(tmp_path, "a", "b"), DataSets())
    assert "used different validation splits (train, validation): compare them with care." in html


def test_without_the_data_set_the_splits_are_named(tmp_path, data, monkeypatch):
    def open_dataset(data_dir):
        raise DatasetError("Not built.")

    monkeypatch.setattr(pictures, "open_dataset", open_dataset)
    write_run(tmp_path / "run", data, history([0.1]), train_split="train[:80%]")
    html = training_sections.tables(_groups(tmp_path, "run"), DataSets())
    assert _cells(html, "run")[3:5] == ["train[:80%]", "validation"]


def test_summary(tmp_path, data):
    write_run(tmp_path / "a", data, history([0.3]))
    write_run(tmp_path / "<b>", data, history([0.1, 0.456]))
    write_run(tmp_path / "c", data, [])
    (group,) = _groups(tmp_path, "a", "<b>", "c")
    html = training_sections.summary(group)
    assert "Categories (6 classes): <b>55.6%</b> of the validation products are right with" in html
    assert "&lt;b&gt;, the best of 2 runs." in html
    (group,) = _groups(tmp_path, "c")
    assert (
        training_sections.summary(group)
        == "<p>Categories (6 classes): no run has been measured yet.</p>"
    )


def test_curves(tmp_path, data):
    write_run(tmp_path / "cnn", data, history([0.1, 0.2]), experiment="solution2_exp2")
    write_run(tmp_path / "new", data, [])
    figures = Figures()
    html = training_sections.curves(_groups(tmp_path, "cnn", "new"), figures)
    assert list(figures.pngs) == ["curves.png"]
    assert "results of the same experiment" in html
    (run,) = load_runs([tmp_path / "cnn"])
    curve = training_sections._curve(run)
    assert curve.published == {"val_accuracy": (0.2424,), "val_product_accuracy": (0.24686,)}
    assert curve.best_epoch == 1
    figures = Figures()
    html = training_sections.curves(_groups(tmp_path, "new"), figures)
    assert html == "<p>No run has finished an epoch yet.</p>"
    assert figures.pngs == {}


def test_specialists(tmp_path, data):
    write_two_stage(tmp_path / "two", data, {0: 0.5, 1: 0.6})
    write_run(tmp_path / "two/specialists/02", data, [], within_level1=2)
    write_run(tmp_path / "plain", data, [])
    figures = Figures()
    html = training_sections.specialists(load_runs([tmp_path / "two", tmp_path / "plain"]), figures)
    assert list(figures.pngs) == ["specialists-two.png"]
    assert _cells(html, "HOME") == ["HOME", "3", "1", "1", "0.5000", "0.6000"]
    assert _cells(html, "BOOKS")[1:] == ["2", "1", "1", "0.6000", "0.7000"]
    assert _cells(html, "MISC")[0] == "MISC unfinished, no checkpoint yet"
    assert training_sections.specialists(load_runs([tmp_path / "plain"]), figures) == ""
