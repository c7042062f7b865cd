import numpy as np
import pytest

from tests.helpers.small_data import SmallData, make_products
from trainer.data.duplicates import known_categories, unseen_products


@pytest.fixture
def data(tmp_path):
    return SmallData(tmp_path)


def _add(data, spec, products, pictures):
    """Products that show these pictures, by number."""
    rng = np.random.default_rng(0)
    files = [make_products([n % 6], seed=100 + n)[0].images[0] for n in range(12)]
    rng.shuffle(files)
    for product, numbers in zip(products, pictures, strict=True):
        product.images[:] = [files[n] for n in numbers]
    return data.add(spec, products)


def test_the_category_that_known_pictures_name(data):
    # Picture 0 shows category 3; 1 shows 3 and 4; 2 shows 4 twice; 3 is in an unlabelled product.
    training = make_products([3, 3, 4, 4]) + make_products([5], first_id=90, unlabelled=True)
    training = _add(data, "train", training, [[0, 5], [1, 0], [1, 2], [2, 2], [3]])
    shown = [[0], [1], [2, 7], [1, 2], [0, 2], [3], [7], [], [0, 0, 1]]
    split = _add(data, "test", make_products([0] * 9, first_id=200, unlabelled=True), shown)
    # Conflicting pictures do not vote; two that say different categories leave it open.
    expected = [3, -1, 4, 4, -1, -1, -1, -1, 3]
    everything = np.ones(5, bool)
    assert known_categories(split, training, everything).tolist() == expected
    assert unseen_products(split, training).tolist() == [False] * 6 + [True, True, False]
    # Without the product of category 4 that shows it, picture 1 shows a single category.
    counted = np.array([True, True, False, False, True])
    assert known_categories(split, training, counted).tolist() == [3, 3, -1, 3, 3, -1, -1, -1, 3]


def test_a_picture_meets_its_conflict_in_a_later_batch(data, monkeypatch):
    monkeypatch.setattr("trainer.data.duplicates._RECORDS_PER_STEP", 1)
    training = _add(data, "train", make_products([3, 4, 3, 2]), [[0], [0], [0], [1]])
    split = _add(data, "test", make_products([0, 0], first_id=200), [[0], [1]])
    assert known_categories(split, training, np.ones(4, bool)).tolist() == [-1, 2]


def test_a_split_without_pictures(data):
    training = _add(data, "train", make_products([3]), [[0]])
    split = _add(data, "test", make_products([0, 0], first_id=200), [[], []])
    assert known_categories(split, training, np.ones(1, bool)).tolist() == [-1, -1]
    assert unseen_products(split, training).all()
