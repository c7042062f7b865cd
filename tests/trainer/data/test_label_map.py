import numpy as np
import pytest

from cdisc_tfds.categories import Categories
from trainer.data.label_map import LabelMap, LabelMapError

_CSV = """category_id,category_level1,category_level2,category_level3
1000,GARDEN,TOOLS,SPADE
700,HOUSE,LAMPS,DESK LAMP
900,GARDEN,PLANTS,ROSE
800,HOUSE,TOOLS,HAMMER
"""


@pytest.fixture
def categories(tmp_path):
    path = tmp_path / "category_names.csv"
    path.write_text(_CSV)
    return Categories.from_csv(path)


def test_categories(categories):
    label_map = LabelMap(categories)
    assert label_map.num_classes == 4
    assert label_map.class_names == ["SPADE", "DESK LAMP", "ROSE", "HAMMER"]
    np.testing.assert_array_equal(label_map.classes_of(np.array([3, -1, 0])), [3, -1, 0])


def test_full_names(categories):
    assert LabelMap(categories, "level1").full_names == ["GARDEN", "HOUSE"]
    house = LabelMap(categories, within_level1=1)
    assert house.full_names == ["HOUSE > LAMPS > DESK LAMP", "HOUSE > TOOLS > HAMMER"]


def test_levels(categories):
    level1, level2 = LabelMap(categories, "level1"), LabelMap(categories, "level2")
    assert level1.class_names == ["GARDEN", "HOUSE"]
    np.testing.assert_array_equal(level1.classes_of(np.arange(4)), [0, 1, 0, 1])
    assert level2.num_classes == 4  # TOOLS of the garden and of the house are two
    np.testing.assert_array_equal(level2.classes_of(np.arange(4)), [0, 1, 2, 3])


def test_a_specialist_knows_its_own_categories_only(categories):
    house = LabelMap(categories, within_level1=1)
    assert house.class_names == ["DESK LAMP", "HAMMER"]
    np.testing.assert_array_equal(house.classes_of(np.arange(-1, 4)), [-1, -1, 0, -1, 1])
    np.testing.assert_array_equal(house.category_of_class, [1, 3])


def test_digest_tells_maps_and_orders_apart(categories, tmp_path):
    path = tmp_path / "other.csv"
    header, first, *rest = _CSV.splitlines(keepends=True)
    path.write_text("".join([header, *rest, first]))
    digests = {
        LabelMap(categories).digest,
        LabelMap(categories, "level1").digest,
        LabelMap(categories, within_level1=0).digest,
        LabelMap(categories, within_level1=1).digest,
        LabelMap(Categories.from_csv(path)).digest,
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("target", "within_level1", "text"),
    [
        ("level4", None, "must be one of category, level1, level2. Received: 'level4'"),
        ("level1", 0, "needs `target='category'`. Received: target='level1'"),
        ("category", 2, "must be a level-1 label from 0 to 1. Received: 2"),
    ],
)
def test_errors(categories, target, within_level1, text):
    with pytest.raises(LabelMapError, match=text):
        LabelMap(categories, target, within_level1)
