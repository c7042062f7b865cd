import base64

import pytest

from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import example, history, write_evaluation, write_run, write_two_stage
from tests.helpers.small_data import SmallData, make_products
from trainer.reporting import evaluation_sections, pictures
from trainer.reporting.evaluation_sections import chosen_examples
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_runs import load_runs
from trainer.runs.evaluation_parts import KnownPictures
from trainer.runs.prediction_method import MeanChoice


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    monkeypatch.setattr(pictures, "open_dataset", lambda data_dir: data)
    return data


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
    html = evaluation_sections.table_of_evaluations(load_runs([tmp_path / "run"]))
    columns = ["1,234", "2,345", "0.5625", "0.4375", "0.6875", "0.6250", "0.8125"]
    for last in (["0.6562", "0.5432"], ["–", "–"]):
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
    rows = str(evaluation_sections.table_of_evaluations(runs)).split("<tr>")[2:]
    mark = '<span class="stale">out of date: the run has other weights now'
    assert [mark in row for row in rows] == [False, True, False]
    assert ["weights not recorded" in row for row in rows] == [False, False, True]
    for section in (
        evaluation_sections.confusions(runs, Figures()),
        evaluation_sections.examples(runs, DataSets(), 3),
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
    html = evaluation_sections.table_of_evaluations(load_runs([tmp_path / "run"]))
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
    html = evaluation_sections.table_of_evaluations(load_runs(paths))
    assert html == (
        "<p>Not evaluated yet. Run:</p><pre>"
        f"python -m trainer.evaluate --run_dir=&#39;{tmp_path}/two words&#39;\n"
        f"python -m trainer.evaluate --run_dir={tmp_path}/two</pre>\n"
        "<p>Not trained far enough to be evaluated: new, half.</p>"
    )


def test_largest_confusions_are_named_and_drawn(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, level1_confusion=[[6, 2, 0], [1, 9, 0], [0, 3, 1]])
    figures = Figures()
    html = evaluation_sections.confusions(load_runs([tmp_path / "run"]), figures)
    assert list(figures.pngs) == ["confusions-run-validation.png"]
    assert html.index("75.0% of MISC predicted as BOOKS (products: 3)") < html.index(
        "25.0% of HOME predicted as BOOKS (products: 2)"
    )
    assert "10.0% of BOOKS predicted as HOME (products: 1)" in html


def test_no_confusions(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    runs = load_runs([tmp_path / "run"])
    assert evaluation_sections.confusions(runs, Figures()) == (
        "<p>No run has been evaluated yet.</p>"
    )
    write_evaluation(folder)
    html = evaluation_sections.confusions(load_runs([tmp_path / "run"]), Figures())
    assert "Every product was predicted in its true level-1 category." in html
    write_evaluation(folder, level1=None)
    html = evaluation_sections.confusions(load_runs([tmp_path / "run"]), Figures())
    assert "This run's classes do not determine the level-1 category." in html


def test_examples_show_pictures_and_full_names(tmp_path, data):
    products = make_products([0, 1, 2, 3, 4, 5])
    data.add("validation", products)
    rows = [
        example(products[0].product_id, 0, 4, 0.75),
        example(products[2].product_id, 2, 3, 0.875),
        example(products[5].product_id, 5, 5, 0.9375),
    ]
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, examples=rows)
    html = evaluation_sections.examples(load_runs([tmp_path / "run"]), DataSets(), 3)
    for product in products:
        shown = product in (products[0], products[2], products[5])
        for picture in product.images:
            assert (base64.b64encode(picture).decode() in html) == shown
    # The surest wrong one first, the right one last.
    names = [">CRIME<", ">STOOL<", "87.5%", ">DESK LAMP<", ">WORLD<", "75.0%", ">MISC<", "93.8%"]
    places = [html.index(name) for name in names]
    assert places == sorted(places)
    assert 'HOME &gt; LAMPS &gt; <span class="leaf">DESK LAMP</span>' in html


def test_examples_without_the_pictures(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    runs = load_runs([tmp_path / "run"])
    assert "No run has been evaluated yet." in evaluation_sections.examples(runs, DataSets(), 3)
    write_evaluation(folder, examples=[example(1, 0, 1, 0.5)])
    html = evaluation_sections.examples(load_runs([tmp_path / "run"]), DataSets(), 3)
    assert "Pictures unavailable: A split is one of" in html
    assert "card" not in html


def test_chosen_examples():
    rows = [
        example(1, 0, 1, 0.5),
        example(2, 0, 1, 0.9),
        example(3, 0, 1, 0.7),
        example(3, 0, 1, 0.7),  # among the surest and among the random ones
        example(4, 2, 2, 0.3),
        example(5, 2, 2, 0.8),
        example(6, 2, 2, 0.6),
    ]
    assert [row.product_id for row in chosen_examples(rows, 100)] == [2, 3, 1, 5, 6, 4]
    assert [row.product_id for row in chosen_examples(rows, 2)] == [2, 3]
    assert [row.product_id for row in chosen_examples(rows, 3)] == [2, 3, 1, 5]
