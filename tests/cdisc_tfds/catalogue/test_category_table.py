"""Categories get stable ids, and the file that the build reads."""

import pytest

from cdisc_tfds.catalogue.category_table import CategoryKey, CategoryTable, canonical_number
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.categories import Categories


def key(*path, category_id=""):
    return CategoryKey(category_id, path)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("17", 17), ("-3", -3), ("9223372036854775807", 2**63 - 1)]
    + [(bad, None) for bad in ("007", "+1", "1.0", "", "1e3", "٣", "9223372036854775808", "1 ")],
)
def test_canonical_numbers(text, number):
    assert canonical_number(text) == number


def test_categories_without_ids_are_numbered_by_name():
    keys = [key("B", "X"), key("A"), key("A", "Z", "Q")]
    table = CategoryTable.from_keys(keys)
    assert table.data.decode() == (
        "category_id,category_level1,category_level2,category_level3\n1,A,A,A\n2,A,Z,Q\n3,B,X,X\n"
    )
    assert [table.category_id_of(one) for one in keys] == [3, 1, 2]
    assert table.num_categories == 3 and not table.drops_ids
    assert CategoryTable.from_keys(reversed(keys)).data == table.data
    assert Categories.parse(table.data, "x").level3_names == ["A", "Q", "X"]


def test_ids_that_are_numbers_stay():
    keys = [key("B", category_id="70"), key("A", category_id="1000000010"), key(category_id="5")]
    table = CategoryTable.from_keys(keys)
    assert [table.category_id_of(one) for one in keys] == [70, 1000000010, 5]
    assert table.data.decode().splitlines()[1:] == ["5,5,5,5", "1000000010,A,A,A", "70,B,B,B"]


def test_a_category_without_an_id_among_others_with_one():
    table = CategoryTable.from_keys([key("A", category_id="7"), key("B")])
    assert table.category_id_of(key("B")) is None and table.num_categories == 1


def test_ids_that_are_no_numbers_are_dropped():
    keys = [key("A", "B", category_id="C-1"), key(category_id="C-2")]
    table = CategoryTable.from_keys(keys)
    assert table.drops_ids
    assert table.data.decode().splitlines()[1:] == ["1,A,B,B", "2,C-2,C-2,C-2"]


def test_an_id_with_two_names():
    with pytest.raises(CatalogueError, match="7 for both 'A' and 'A > B'"):
        CategoryTable.from_keys([key("A", category_id="7"), key("A", "B", category_id="7")])


def test_categories_that_fall_together():
    with pytest.raises(CatalogueError, match="'A > B' and 'A > B > B', which both become A | B"):
        CategoryTable.from_keys([key("A", "B"), key("A", "B", "B")])


CSV = """category_id,category_level1,category_level2,category_level3
50,A,B,C
40,A  A,B,"C > D"
30,X,X,X
20,X,X,X
"""


def test_the_categories_of_a_file(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text(CSV)
    keys = {
        key("A", "B", "C"): 50,
        key("A A", "B", "C", "D"): 40,  # names are compared without spare spaces
        key(category_id="30"): 30,
        key("whatever", category_id="20"): 20,  # the id counts
        key("40"): 40,
        key("X"): None,  # two rows have this name
        key("A", "B", "Z"): None,
        key(category_id="60"): None,
    }
    table = CategoryTable.from_file(str(path), keys)
    assert {one: table.category_id_of(one) for one in keys} == keys
    assert table.data == CSV.encode() and table.num_categories == 4
