"""Examples: the surest mistakes, and some of each class."""

import base64

from tests.helpers.fake_runs import example, guesses_of, history, write_evaluation, write_run
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.small_data import make_products
from trainer.reporting.chosen_examples import chosen_examples, examples_by_class
from trainer.reporting.example_sections import examples, examples_of_classes
from trainer.reporting.pictures import DataSets
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs


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
    html = examples(evaluations(load_runs([tmp_path / "run"])), DataSets(), 3)
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
    assert "No run has been evaluated yet." in examples(evaluations(runs), DataSets(), 3)
    write_evaluation(folder, examples=[example(1, 0, 1, 0.5)])
    html = examples(evaluations(load_runs([tmp_path / "run"])), DataSets(), 3)
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


def test_examples_by_class_are_the_surest_of_each_kind():
    true = [3, 3, 3, 3, 3, 1, 1, 2]
    predicted = [3, 1, 2, 3, 1, 1, 3, 2]
    probability = [0.5, 0.6, 0.9, 0.8, 0.7, 0.4, 0.3, 0.2]
    guesses = guesses_of(true, predicted, probability)
    # Class 3 has three wrong ones, class 1 one, class 2 none.
    everything = {3: [2, 4, 1, 3, 0], 1: [6, 5], 2: [7]}
    assert examples_by_class(guesses, 9, 100) == everything
    assert list(examples_by_class(guesses, 9, 100)) == [3, 1, 2]
    assert examples_by_class(guesses, 2, 100) == {3: [2, 4, 3], 1: [6, 5], 2: [7]}
    assert examples_by_class(guesses, 1, 100) == {3: [2, 3], 1: [6, 5], 2: [7]}
    assert examples_by_class(guesses, 2, 4) == {3: [2, 4, 3]}
    assert examples_by_class(guesses, 2, 2) == examples_by_class(guesses, 0, 9) == {}
    assert examples_by_class(guesses_of([], []), 2, 9) == {}


def test_examples_of_classes_show_first_pictures_by_level_1(tmp_path, data):
    products = make_products([0, 0, 2, 5])
    data.add("validation", products)
    ids = [product.product_id for product in products]
    guesses = guesses_of([0, 0, 2, 5], [0, 1, 2, 5], [0.5, 0.75, 0.875, 0.25], ids)
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, guesses=guesses)
    measured = evaluations(load_runs([tmp_path / "run"]))
    html = examples_of_classes(measured, DataSets(), 4, 600)
    assert_well_formed(html)
    for product in products:
        for place, picture in enumerate(product.images):
            assert (base64.b64encode(picture).decode() in html) == (place == 0)
    assert html.count("<details") == 3 and html.count("<details open") == 1
    assert html.index("<summary>HOME (1)") < html.index("<summary>BOOKS (1)")
    assert "LAMPS &gt; DESK LAMP (1 of 2 right)" in html
    assert f"as <b>FLOOR LAMP</b>, 75.0%<div>{ids[1]}</div>" in html
    assert f"<figcaption>50.0%<div>{ids[0]}</div>" in html
    kinds = [part.partition('"')[0] for part in html.split('<figure class="')[1:]]
    assert kinds == ["wrong", "right", "right", "right"]
    assert "Left out" not in html
    html = examples_of_classes(measured, DataSets(), 4, 3)
    assert "Left out, because --max_examples limits the page: 1 classes." in html
    assert html.count("<figure") == 3
    assert examples_of_classes(measured, DataSets(), 0, 600) == ""
    assert examples_of_classes(measured, DataSets(), 4, 0) == ""


def test_the_limit_is_that_of_the_page(tmp_path, data):
    products = make_products([0, 1, 2, 3])
    data.add("validation", products)
    ids = [product.product_id for product in products]
    for name in ("a", "b"):
        folder = write_run(tmp_path / name, data, history([0.1]))
        write_evaluation(folder, guesses=guesses_of([0, 1, 2, 3], [1, 2, 3, 0], None, ids))
    measured = evaluations(load_runs([tmp_path / "a", tmp_path / "b"]))
    assert examples_of_classes(measured, DataSets(), 4, 5).count("<figure") == 4  # two of each


def test_examples_of_classes_without_the_pictures(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, guesses=guesses_of([0, 1], [1, 1]))
    html = examples_of_classes(evaluations(load_runs([tmp_path / "run"])), DataSets(), 4, 9)
    assert "Pictures unavailable: A split is one of" in html
    data.add("validation", make_products([0, 1], first_id=500))
    html = examples_of_classes(evaluations(load_runs([tmp_path / "run"])), DataSets(), 4, 9)
    assert html.count("no picture") == 2  # the split has other products now
