import io

import numpy as np
from PIL import Image

from cdisc_tfds.categories import Categories
from cdisc_tfds.explore.category_counts import CategoryCounts
from cdisc_tfds.explore.example_sections import Examples
from cdisc_tfds.explore.size_chart import size_chart
from cdisc_tfds.explore.tail_chart import tail_chart
from cdisc_tfds.product_index import ProductIndex
from tests.cdisc_tfds.explore.test_duplicates import split_of

CATEGORIES = Categories(
    [(1, "A", "x", "a"), (2, "A", "x", "b"), (3, "B", "x", "c"), (4, "B", "y", "d")]
)


def index_of(*rows):
    """Rows: (pictures, label) of each product."""
    return ProductIndex(np.arange(len(rows)), *np.array(rows).reshape(-1, 2).T)


COUNTS = CategoryCounts.of(
    [index_of((1, 0), (4, 0), (2, 2), (200, -1)), index_of((255, 1), (255, 1), (255, 1))],
    CATEGORIES,
)


def test_labelled_products_of_all_splits():
    assert COUNTS.products.tolist() == [2, 3, 1, 0]
    assert COUNTS.pictures.tolist() == [5, 765, 2, 0]
    assert COUNTS.ranked.tolist() == [1, 0, 2, 3]


def test_the_categories_that_hold_a_share():
    counts = CategoryCounts(CATEGORIES, np.ones(4, int), np.array([10, 40, 30, 20]))
    assert [counts.holding(share) for share in (0.3, 0.4, 0.5, 0.9, 1.0)] == [1, 1, 2, 3, 4]
    assert CategoryCounts(CATEGORIES, np.zeros(4, int), np.zeros(4, int)).holding(0.5) == 0


def test_groups_are_those_of_evaluations():
    assert [(name, labels.tolist()) for name, labels in COUNTS.groups()] == [
        ("head", [1]),
        ("middle", [0]),
        ("tail", [2, 3]),
    ]


def test_charts_are_pictures_even_of_little():
    few = CategoryCounts(CATEGORIES, np.array([0, 1, 0, 0]), np.array([0, 1, 0, 0]))
    one = [("train", np.array([5]))]
    for png in (tail_chart(COUNTS), tail_chart(few), size_chart(one, "bytes a picture")):
        Image.open(io.BytesIO(png)).load()


def chosen(limit, number=2):
    splits = [split_of("train", [(0, [1])] * 3 + [(1, [1])] * 5 + [(2, [1]), (3, []), (3, [1])])]
    counts = CategoryCounts.of([split.index for split in splits], CATEGORIES)
    rng = np.random.default_rng(0)
    return Examples.choose(splits, counts, number=number, limit=limit, rng=rng), splits[0]


def test_examples_take_turns_through_level_1():
    examples, split = chosen(limit=100)
    # The largest of A (5) and B (2), then the second largest of each.
    assert list(examples.of_category) == [1, 3, 0, 2]
    assert [len(places) for places in examples.of_category.values()] == [2, 1, 2, 1]
    assert examples.num_left_out == 0
    for label, places in examples.of_category.items():
        assert len(set(places)) == len(places)
        assert all(split.index.category[place.row] == label for place in places)
        assert all(split.index.num_pictures[place.row] for place in places)


def test_examples_stay_within_the_limit():
    for limit, labels in ((0, []), (2, [1]), (3, [1]), (5, [1, 3, 0])):
        examples, _ = chosen(limit=limit)
        assert list(examples.of_category) == labels
        assert len(examples.places) <= limit
        assert examples.num_left_out == 4 - len(labels)
