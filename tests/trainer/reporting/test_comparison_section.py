"""Evaluations of the same products, compared product by product."""

import numpy as np
import pytest

from tests.helpers.fake_runs import guesses_of, history, write_evaluation, write_run
from tests.helpers.html_checks import assert_well_formed
from trainer.reporting.comparison_section import comparison, paired_difference
from trainer.reporting.reported_evaluations import evaluations
from trainer.reporting.reported_runs import load_runs


def test_the_paired_difference_and_its_error():
    right = np.array([True] * 60 + [False] * 40)
    other = np.array([True] * 50 + [False] * 30 + [True] * 20)
    # 10 products only the first gets right, 20 only the other: mean -0.1, variance 0.3 - 0.01.
    difference, error = paired_difference(right, other)
    assert difference == pytest.approx(-0.1)
    assert error == pytest.approx((0.29 / 100) ** 0.5)
    assert paired_difference(right, right) == (0, 0)


def test_what_two_independent_samples_would_give_is_larger():
    rng = np.random.default_rng(0)
    hard = rng.random(2000)
    right, other = hard < 0.8, hard < 0.78  # they agree on nearly all products
    _, error = paired_difference(right, other)
    assert error < 0.5 * np.sqrt(0.8 * 0.2 / 2000 + 0.78 * 0.22 / 2000)


@pytest.fixture
def three(tmp_path, data):
    """Runs with 9, 8 and 4 of 10 right."""
    true = [0] * 10
    for name, right in (("best", 9), ("near", 8), ("far", 4)):
        predicted = [1] * (10 - right) + [0] * right
        folder = write_run(tmp_path / name, data, history([0.1]))
        write_evaluation(folder, guesses=guesses_of(true, predicted))
    return [tmp_path / name for name in ("far", "best", "near")]


def test_each_run_is_compared_with_the_best(three):
    html = comparison(evaluations(load_runs(three)))
    assert_well_formed(html)
    assert "validation (10 products)" in html
    assert [html.index(f"</span>{name}") for name in ("best", "near", "far")] == sorted(
        html.index(f"</span>{name}") for name in ("best", "near", "far")
    )
    # near: 1 of 10 differs, error sqrt(0.1 * 0.9 / 10); far: 5 of 10, sqrt(0.25 / 10).
    assert '-0.1000<div class="note">± 0.0949, may be chance</div>' in html
    assert '-0.5000<div class="note">± 0.1581</div>' in html
    assert '<td class="number">0</td>\n<td class="number">5</td>' in html


def test_other_products_or_classes_are_not_compared(tmp_path, data, three):
    assert comparison(evaluations(load_runs(three[:1]))) == ""
    one, other = load_runs(three[:2])
    write_evaluation(other.folder, guesses=guesses_of([0] * 10, [0] * 10, None, range(10)))
    assert comparison(evaluations(load_runs(three[:2]))) == ""
    write_evaluation(other.folder)  # by an earlier version
    assert comparison(evaluations(load_runs(three[:2]))) == ""
    level1 = write_run(tmp_path / "level1", data, history([0.1]), target="level1")
    write_evaluation(level1, guesses=guesses_of([0] * 10, [0] * 10))
    assert comparison(evaluations(load_runs([three[0], level1.path]))) == ""


def test_a_stale_evaluation_is_not_the_measure(tmp_path, three):
    far = load_runs(three[:1])[0]
    write_evaluation(far.folder, guesses=guesses_of([0] * 10, [0] * 10), weights_sha256="6" * 64)
    html = comparison(evaluations(load_runs(three)))
    assert "difference from best" in html
    assert '+0.1000<div class="note">± 0.0949, may be chance</div>' in html
    assert "out of date" in html
