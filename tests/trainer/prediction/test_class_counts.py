import numpy as np

from cdisc_tfds.categories import Categories
from trainer.data.label_map import LabelMap
from trainer.prediction.class_counts import (
    ClassCounts,
    GroupCounts,
    category_rows,
)
from trainer.runs.evaluation_parts import FrequencyGroup

CATEGORIES = Categories(
    [(1000, "A", "x", "a"), (1001, "A", "y", "b"), (1002, "B", "x", "c"), (1003, "A", "x", "d")]
)


def test_recall_and_precision_by_hand():
    counts = ClassCounts(3)
    counts.add(np.array([0, 0, 1]), np.array([0, 1, 1]))
    counts.add(np.array([0]), np.array([0]))
    assert counts.true.tolist() == [3, 1, 0]
    assert counts.predicted.tolist() == [2, 2, 0]
    assert counts.right.tolist() == [2, 1, 0]
    np.testing.assert_array_equal(counts.recall, [2 / 3, 1, np.nan])
    np.testing.assert_array_equal(counts.precision, [1, 0.5, np.nan])


def test_groups_by_hand():
    counts = GroupCounts(np.array([10, 10, 10, 0]), ("level1",))
    counts.add(
        np.array([0, 0, 1]),
        {"class": np.array([True, False, False]), "level1": np.array([True, True, False])},
    )
    counts.add(np.array([3]), {"class": np.array([True]), "level1": np.array([True])})
    head, middle, tail = counts.result(np.array([0.5, 0.0, np.nan, 1.0]))
    assert head == FrequencyGroup("head", 1, 2, 0.5, 0.5, 1.0, None)
    assert middle == FrequencyGroup("middle", 1, 1, 0.0, 0.0, 0.0, None)
    assert tail == FrequencyGroup("tail", 2, 1, 1.0, 1.0, 1.0, None)
    empty = GroupCounts(np.array([1]), ("level1", "level2")).result(np.array([np.nan]))[0]
    assert empty == FrequencyGroup("head", 1, 0, None, None, None, None)


def test_rows_of_every_level():
    counts = {"class": ClassCounts(4), "level1": ClassCounts(2), "level2": ClassCounts(3)}
    counts["class"].add(np.array([0, 3]), np.array([0, 0]))
    counts["level1"].add(np.array([0, 0]), np.array([0, 0]))
    rows = category_rows(
        LabelMap(CATEGORIES), counts, np.array([7, 1, 1, 1]), np.array([0, 1, 2, 2])
    )
    assert [row.level for row in rows] == [3] * 4 + [2] * 3 + [1] * 2
    first, *_, level1, _ = rows
    assert (first.category_id, first.name) == (1000, "A > x > a")
    assert (first.group, first.training_products) == ("head", 7)
    assert (first.products, first.predicted, first.right) == (1, 2, 1)
    assert (first.recall, first.precision) == (1.0, 0.5)
    assert rows[1].recall is None and rows[1].precision is None
    assert (level1.category_id, level1.name, level1.group) == (None, "A", None)
    assert (level1.products, level1.recall) == (2, 1.0)


def test_rows_of_a_coarser_run():
    counts = {"class": ClassCounts(2), "level1": ClassCounts(2)}
    rows = category_rows(LabelMap(CATEGORIES, "level1"), counts, None, None)
    assert [(row.level, row.name, row.training_products) for row in rows] == [
        (1, "A", None),
        (1, "B", None),
    ]
