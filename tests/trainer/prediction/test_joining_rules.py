import numpy as np
import pytest

from trainer.prediction.joining_rules import MEANS, Groups, join

EXPONENTS = {
    "harmonic": -1,
    "power_0.5": 0.5,
    "arithmetic": 1,
    "root_mean_square": 2,
    "power_4": 4,
}


def _one(pictures, rule):
    """The probabilities of one product with these pictures."""
    pictures = np.array(pictures, np.float32)
    (row,) = join(pictures, Groups(np.array([0]), np.array([len(pictures)])), rule)
    return row


@pytest.mark.parametrize("rule", MEANS)
def test_one_picture_keeps_its_first_guess_and_all_rows_sum_to_one(rule):
    rng = np.random.default_rng(0)
    counts = np.array([1, 3, 2, 4, 1, 5])
    pictures = rng.dirichlet(np.full(9, 0.2), counts.sum()).astype(np.float32)
    rows = join(pictures, Groups(np.cumsum(counts) - counts, counts), rule)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-5)
    for place in (0, 4):
        alone = pictures[counts[:place].sum()]
        assert rows[place].argmax() == alone.argmax()
        if rule != "vote":
            np.testing.assert_allclose(rows[place], alone, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("rule", "exponent"), EXPONENTS.items())
def test_generalised_means(rule, exponent):
    pictures = np.random.default_rng(1).dirichlet(np.ones(6), 4)
    expected = (pictures**exponent).mean(axis=0) ** (1 / exponent)
    np.testing.assert_allclose(_one(pictures, rule), expected / expected.sum(), rtol=2e-5)


def test_geometric_mean():
    pictures = np.random.default_rng(1).dirichlet(np.ones(6), 3)
    expected = np.exp(np.log(pictures).mean(axis=0))
    np.testing.assert_allclose(_one(pictures, "geometric"), expected / expected.sum(), rtol=2e-5)


def test_by_hand():
    pictures = [[0.5, 0.5, 0.0], [0.75, 0.25, 0.0], [0.0, 0.25, 0.75]]
    assert _one(pictures, "max").tolist() == [0.375, 0.25, 0.375]
    np.testing.assert_allclose(_one(pictures, "median"), [2 / 3, 1 / 3, 0], rtol=1e-6)
    # An even number of pictures: the mean of the middle two.
    four = [*pictures, [0.25, 0.0, 0.75]]
    middle = np.array([0.375, 0.25, 0.375])
    np.testing.assert_allclose(_one(four, "median"), middle / middle.sum(), rtol=1e-6)


def test_a_vote_is_won_by_the_most_first_guesses():
    # The sums say class 0; two of three pictures say class 1.
    pictures = [[1.0, 0.0, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0]]
    row = _one(pictures, "vote")
    assert row.argmax() == 1 and _one(pictures, "arithmetic").argmax() == 0
    np.testing.assert_allclose(row, [(1 + 0.6) / 4, (2 + 0.4) / 4, 0], rtol=1e-6)


def test_votes_that_tie_go_to_the_larger_sum():
    pictures = [[0.6, 0.4, 0.0], [0.2, 0.8, 0.0]]
    assert _one(pictures, "vote").argmax() == 1
    assert _one(pictures[::-1], "vote").argmax() == 1


@pytest.mark.parametrize("rule", MEANS)
def test_pictures_that_are_each_sure_of_another_class(rule):
    row = _one(np.eye(4, dtype=np.float32)[:3], rule)
    assert row[0] == row[1] == row[2] > row[3] and row.sum() == pytest.approx(1)
    if rule != "harmonic":  # there, what a probability of 0 means depends on its lower bound
        np.testing.assert_allclose(row, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)


def test_small_probabilities_keep_their_ratio():
    """Their fourth power is below the smallest float32."""
    row = _one([[1, 2e-20, 1e-20], [1, 2e-20, 1e-20]], "power_4")
    np.testing.assert_allclose(row, [1, 2e-20, 1e-20], rtol=1e-5)


def test_no_products():
    nothing = Groups(np.zeros(0, int), np.zeros(0, int))
    assert join(np.zeros([0, 5], np.float32), nothing, "median").shape == (0, 5)
