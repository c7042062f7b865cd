"""Frequent and rare classes, and the table of all categories."""

import pytest

from tests.helpers.fake_runs import guesses_of, history, write_evaluation, write_run
from tests.helpers.html_checks import assert_well_formed
from trainer.reporting.class_groups import class_groups
from trainer.reporting.class_sections import categories, groups
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_parts import FrequencyGroup

GROUPS = (
    FrequencyGroup("head", 2, 1200, 0.9, 0.8, 0.95, 0.92),
    FrequencyGroup("tail", 4, 0, None, None, None, None),
)
ROWS = (
    CategoryRow(3, 1, "A > x > often <i>missed", "head", 700, 100, 60, 50),
    CategoryRow(3, 2, "A > x > never missed", "tail", 7, 5, 5, 5),
    CategoryRow(3, 3, "A > x > most missed", "tail", 6, 90, 9, 9),
    CategoryRow(3, 4, "A > x > known", "head", 750, 9, 9, 8),
    CategoryRow(1, None, "A", None, None, 204, 83, 72),
)


@pytest.fixture
def folder(tmp_path, data):
    return write_run(tmp_path / "run", data, history([0.5]))


def _number_cells(*cells):
    return "\n".join(f'<td class="number">{cell}</td>' for cell in cells)


def test_groups_have_sizes_and_figures(folder):
    guesses = guesses_of([0, 3, 3, 0], [0, 3, 0, 1], [0.5, 0.75, 0.25, 1.0])
    write_evaluation(folder, groups=GROUPS, categories=ROWS, guesses=guesses)
    measured = evaluations(load_runs([folder.path]))
    head, tail = class_groups(measured[0].result)
    assert (head.training_products, head.smallest, head.largest) == (1450, 700, 750)
    assert (tail.training_products, tail.smallest, tail.largest) == (13, 6, 7)
    assert head.confidence == pytest.approx((0.5 + 0.75 + 0.25 + 1) / 4)
    assert tail.confidence is None
    html = groups(measured)
    assert_well_formed(html)
    accuracy = '0.9000<div class="note">± 0.0087</div>'  # sqrt(0.9 * 0.1 / 1200)
    figures = (accuracy, "0.6250", "0.9200", "0.9500", "0.8000")
    assert _number_cells("2", "1,450", "700 to 750", "1,200", *figures) in html
    assert _number_cells("4", "13", "6 to 7", "0", *["–"] * 5) in html


def test_groups_without_the_files_beside(folder):
    write_evaluation(folder, groups=GROUPS)
    html = groups(evaluations(load_runs([folder.path])))
    assert _number_cells("4", "–", "–", "0", *["–"] * 5) in html


def test_the_table_of_categories(folder):
    # Of the first class, 3 are taken for the third, 2 for the fourth.
    guesses = guesses_of([0] * 6, [2, 2, 2, 3, 3, 0])
    write_evaluation(folder, categories=ROWS, guesses=guesses)
    html = categories(evaluations(load_runs([folder.path])))
    assert_well_formed(html)
    places = [html.index(f"{name}</span>") for name in ("most missed", "missed", "known")]
    assert places == sorted(places)
    assert '<span class="leaf">often &lt;i&gt;missed</span><div class="note">A &gt; x</div>' in html
    row = html[html.index("often &lt;i&gt;missed") :].partition("</tr>")[0]
    assert _number_cells("100", "50", "0.5000", "0.8333", "700") in row
    assert "most missed (3)" in row
    assert html.count('<table class="sortable">') == 2
    assert "<summary>Level 1 (1)</summary>" in html and ">A</span>" in html
    assert "Left out" not in html


def test_a_large_table_keeps_the_most_missed(folder, monkeypatch):
    monkeypatch.setattr("trainer.reporting.class_sections._MOST_ROWS", 2)
    write_evaluation(folder, categories=ROWS)
    html = categories(evaluations(load_runs([folder.path])))
    assert "most missed" in html and "often &lt;i&gt;missed" in html
    assert ">known<" not in html and "never missed" not in html
    assert "Left out, to keep the page small: the 2 least missed ones." in html


def test_evaluations_of_earlier_versions_have_neither(folder):
    write_evaluation(folder)
    measured = evaluations(load_runs([folder.path]))
    assert groups(measured) == categories(measured) == ""
