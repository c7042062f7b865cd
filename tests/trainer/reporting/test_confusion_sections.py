"""Confusions of level 1 and of classes."""

import numpy as np

from cdisc_tfds.pages.page_figures import Figures
from tests.helpers.fake_runs import guesses_of, history, write_evaluation, write_run
from tests.helpers.html_checks import assert_well_formed
from trainer.reporting.confused_pairs import ConfusedPair, confused_pairs
from trainer.reporting.confusion_sections import class_confusions, level1_confusions
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs

# The classes of `small_data.CSV`: two lamps, crime, stool, atlas, misc.
TRUE = [0] * 10 + [1] * 6 + [2] * 4
PREDICTED = [0] * 6 + [1] * 3 + [4] + [1] * 4 + [0] * 2 + [2] * 3 + [4]


def test_largest_confusions_are_named_and_drawn(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, level1_confusion=[[6, 2, 0], [1, 9, 0], [0, 3, 1]])
    figures = Figures()
    html = level1_confusions(evaluations(load_runs([tmp_path / "run"])), figures)
    assert list(figures.pngs) == ["confusions-run-validation.png"]
    assert html.index("75.0% of MISC predicted as BOOKS (products: 3)") < html.index(
        "25.0% of HOME predicted as BOOKS (products: 2)"
    )
    assert "10.0% of BOOKS predicted as HOME (products: 1)" in html


def test_no_confusions(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    runs = load_runs([tmp_path / "run"])
    assert level1_confusions(evaluations(runs), Figures()) == (
        "<p>No run has been evaluated yet.</p>"
    )
    write_evaluation(folder)
    html = level1_confusions(evaluations(load_runs([tmp_path / "run"])), Figures())
    assert "Every product was predicted in its true level-1 category." in html
    write_evaluation(folder, level1=None)
    html = level1_confusions(evaluations(load_runs([tmp_path / "run"])), Figures())
    assert "This run's classes do not determine the level-1 category." in html


def test_pairs_are_counted():
    pairs = confused_pairs(guesses_of(TRUE, PREDICTED))
    assert pairs == [
        ConfusedPair(0, 1, 3, 10, 2),
        ConfusedPair(1, 0, 2, 6, 3),
        ConfusedPair(2, 4, 1, 4, 0),
        ConfusedPair(0, 4, 1, 10, 0),
    ]
    assert confused_pairs(guesses_of([], [])) == confused_pairs(guesses_of([3], [3])) == []


def test_pairs_are_those_of_a_matrix():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 7, [2, 500])
    matrix = np.zeros([7, 7], int)
    np.add.at(matrix, (true, predicted), 1)
    pairs = confused_pairs(guesses_of(true, predicted))
    assert {(pair.true, pair.predicted): pair.count for pair in pairs} == {
        (i, j): matrix[i, j] for i in range(7) for j in range(7) if i != j and matrix[i, j]
    }
    assert all(pair.reverse == matrix[pair.predicted, pair.true] for pair in pairs)
    assert all(pair.of_true == matrix[pair.true].sum() for pair in pairs)


def test_class_confusions_name_the_levels(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, guesses=guesses_of(TRUE, PREDICTED))
    html = class_confusions(evaluations(load_runs([tmp_path / "run"])))
    assert_well_formed(html)
    assert "Wrong products: 7, in 4 pairs. Shown: 4 pairs with 7 of them (100%)." in html
    # Of the second path, the levels that differ.
    assert (
        'HOME &gt; LAMPS &gt; <span class="leaf">DESK LAMP</span></div><div>→ '
        '<span class="leaf">FLOOR LAMP</span></div>'
    ) in html
    assert '→ ATLASES &gt; <span class="leaf">WORLD</span>' in html  # from BOOKS > NOVELS
    assert '→ BOOKS &gt; ATLASES &gt; <span class="leaf">WORLD</span>' in html  # from HOME
    cells = ("3", "10", "30.0%", "2")
    assert "\n".join(f'<td class="number">{cell}</td>' for cell in cells) in html


def test_only_the_most_frequent_pairs_are_shown(tmp_path, data, monkeypatch):
    monkeypatch.setattr("trainer.reporting.confusion_sections._PAIRS", 1)
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder, guesses=guesses_of(TRUE, PREDICTED))
    html = class_confusions(evaluations(load_runs([tmp_path / "run"])))
    assert "Shown: 1 pairs with 3 of them (43%)." in html
    assert "WORLD" not in html


def test_no_class_confusions(tmp_path, data):
    folder = write_run(tmp_path / "run", data, history([0.1]))
    write_evaluation(folder)  # as an earlier version: without first guesses
    assert class_confusions(evaluations(load_runs([tmp_path / "run"]))) == ""
    write_evaluation(folder, guesses=guesses_of([0, 1], [0, 1]))
    html = class_confusions(evaluations(load_runs([tmp_path / "run"])))
    assert "Every product was predicted in its true class." in html
