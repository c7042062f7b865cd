import math

import numpy as np
import pytest

from cdisc_tfds.categories import Categories
from trainer.data.label_map import LabelMap
from trainer.prediction.scores import LevelSum, Tally, level_of_class

# Five categories; labels of level 1 are 0 0 1 0 2, of level 2 are 0 1 2 0 3.
CATEGORIES = Categories(
    [
        (1000, "A", "x", "a"),
        (1001, "A", "y", "b"),
        (1002, "B", "x", "c"),
        (1003, "A", "x", "d"),
        (1004, "C", "z", "e"),
    ]
)


def test_counts_and_loss_by_hand():
    tally = Tally()
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]], np.float32)
    assert tally.add(probabilities, np.array([0, 2])).tolist() == [0, 0]
    tally.add(np.array([[0.1, 0.8, 0.1]], np.float32), np.array([1]))
    assert (tally.count, tally.accuracy, tally.top5_accuracy) == (3, 2 / 3, 1.0)
    assert tally.loss == pytest.approx(-(math.log(0.7) + math.log(0.2) + math.log(0.8)) / 3)


def test_top_five_needs_a_rank_below_five():
    probabilities = np.linspace(0.2, 0.01, 10, dtype=np.float32)[None]
    for label in range(10):
        tally = Tally()
        tally.add(probabilities, np.array([label]))
        assert tally.accuracy == (label == 0)
        assert tally.top5_accuracy == (label < 5)


def test_a_network_that_says_the_same_of_all_classes_is_right_about_five():
    tally = Tally()
    tally.add(np.full([100, 100], 0.01, np.float32), np.arange(100))
    assert (tally.accuracy, tally.top5_accuracy) == (0.01, 0.05)


def test_ranks_agree_with_a_stable_sort():
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 6, [500, 12]).astype(np.float32)  # many ties
    classes = rng.integers(0, 12, 500)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    tally = Tally()
    assert np.array_equal(tally.add(probabilities, classes), order[:, 0])
    assert tally.accuracy == (order[:, 0] == classes).mean()
    assert tally.top5_accuracy == (order[:, :5] == classes[:, None]).any(axis=1).mean()


def test_a_label_of_probability_zero_has_a_finite_loss():
    tally = Tally()
    tally.add(np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert tally.loss == pytest.approx(87.3, abs=0.1)


def test_nothing_counted_is_not_a_number():
    assert math.isnan(Tally().accuracy) and math.isnan(Tally().loss)


@pytest.mark.parametrize(
    ("target", "within", "level1", "level2"),
    [
        ("category", None, [0, 0, 1, 0, 2], [0, 1, 2, 0, 3]),
        ("category", 0, [0, 0, 0], [0, 1, 0]),
        ("level2", None, [0, 0, 1, 2], [0, 1, 2, 3]),
        ("level1", None, [0, 1, 2], None),
    ],
)
def test_the_level_of_each_class(target, within, level1, level2):
    label_map = LabelMap(CATEGORIES, target, within)
    assert level_of_class(label_map, "level1").tolist() == level1
    found = level_of_class(label_map, "level2")
    assert (found if found is None else found.tolist()) == level2


@pytest.mark.parametrize("level_of_class", [[0, 0, 1, 0, 2], [0, 1, 1, 4, 4], [3, 3]])
def test_level_sums_are_those_of_a_matrix_product(level_of_class):
    level_of_class = np.array(level_of_class)
    probabilities = np.random.default_rng(0).random([7, len(level_of_class)], np.float32)
    expected = probabilities @ np.eye(5, dtype=np.float32)[level_of_class]
    np.testing.assert_allclose(LevelSum(level_of_class, 5)(probabilities), expected, rtol=1e-6)
