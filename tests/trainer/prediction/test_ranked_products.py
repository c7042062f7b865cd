import numpy as np
import pytest

from tests.helpers.small_data import SmallData
from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.ranked_products import ClassNames, RankedProducts, ranked, top_classes


@pytest.mark.parametrize("top", [1, 2, 5, 7])
def test_top_classes_are_those_of_a_stable_sort(top):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 4, [50, 7]).astype(np.float32)  # many equals
    expected = np.argsort(-rows, axis=1, kind="stable")[:, :top]
    assert np.array_equal(top_classes(rows, top), expected)


def test_products_without_a_prediction_are_marked():
    batch = ProductBatch(
        np.array([0, 1]),
        np.array([[0.2, 0.8, 0], [0.5, 0.1, 0.4]], np.float32),
        np.array([1, 3]),
        np.zeros(0),
        np.zeros([0, 3]),
    )
    found = ranked(["a", "b", "c"], np.array([0, 2]), [batch], 2)
    assert found.num_pictures.tolist() == [1, 0, 3]
    assert found.classes.tolist() == [[1, 0], [-1, -1], [0, 2]]
    np.testing.assert_array_equal(
        found.probabilities, np.array([[0.8, 0.2], [np.nan] * 2, [0.5, 0.4]], np.float32)
    )
    assert found.accepted(0.5).tolist() == [True, False, True]
    assert found.accepted(None).tolist() == [False] * 3


def test_a_threshold_is_compared_as_float32():
    value = np.float32(0.1)
    found = RankedProducts(["a"], np.array([1]), np.array([[0]]), np.array([[value]], np.float32))
    assert found.accepted(float(value)).tolist() == [True]
    assert found.accepted(float(np.nextafter(value, np.float32(1)))).tolist() == [False]


def test_names_of_categories_and_of_levels(tmp_path):
    categories = SmallData(tmp_path).categories
    names = ClassNames.of(LabelMap(categories))
    assert (names.category_ids[3], names.names[3]) == (1000040, "STOOL")
    assert names.paths[3] == "HOME > CHAIRS > STOOL"
    names = ClassNames.of(LabelMap(categories, "level2"))
    assert names.category_ids is None
    assert (names.names[0], names.paths[0]) == ("HOME > LAMPS", "HOME > LAMPS")
