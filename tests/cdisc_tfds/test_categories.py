"""Labels of the three levels, against the competition's own file and against hand-made ones."""

import numpy as np
import pytest

from cdisc_tfds.categories import Categories, CategoryError, class_label_names
from cdisc_tfds.file_kinds import WrongKindError
from tests.conftest import CATEGORY_IDS, CATEGORY_NAMES

HEADER = "category_id,category_level1,category_level2,category_level3\n"


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "category_names.csv"
    path.write_bytes(text.encode(encoding))
    return Categories.from_csv(path)


def test_labels_follow_rows_and_first_appearance(tmp_path):
    categories = read(tmp_path, CATEGORY_NAMES)
    np.testing.assert_array_equal(categories.category_ids, CATEGORY_IDS)
    assert categories.num_categories == 5
    assert categories.level1_names == ["MAISON", "SPORT"]
    assert categories.level1.tolist() == [0, 0, 1, 0, 1]
    # PROTECTION stands under SPORT and under MAISON: two labels, where the study had one.
    assert categories.level2_names == [
        "MAISON > CUISINE",
        "SPORT > PROTECTION",
        "MAISON > PROTECTION",
        "SPORT > BALLE",
    ]
    assert categories.level2.tolist() == [0, 0, 1, 2, 3]
    assert categories.study_level2.tolist() == [0, 0, 1, 1, 2]
    assert categories.level3_names[1] == "ASSIETTE, PLATE"
    assert [categories.label_of(category_id) for category_id in CATEGORY_IDS] == [0, 1, 2, 3, 4]
    assert {array.dtype.name for array in (categories.level1, categories.level2)} == {"int32"}
    assert categories.category_ids.dtype == np.int64


def test_competition_file(cdiscount_files):
    categories = Categories.from_csv(cdiscount_files / "category_names.csv")
    assert categories.num_categories == 5270
    assert len(categories.level1_names) == 49
    assert len(categories.level2_names) == len(set(categories.level2_names)) == 486
    assert len(set(categories.level3_names)) == 5263
    assert categories.study_level2.max() + 1 == 483
    # The first row, a row with spaces at a cell's edge, and one of the three names that the study
    # merges: it stands under two level-1 names.
    assert categories.category_ids[0] == 1000021794
    assert categories.level1_names[0] == "ABONNEMENT / SERVICES"
    assert any(name != name.strip() for name in categories.level3_names)
    assert {name for name in categories.level2_names if name.endswith("> ONGLERIE")} == {
        "ELECTROMENAGER > ONGLERIE",
        "HYGIENE - BEAUTE - PARFUM > ONGLERIE",
    }


def test_byte_order_mark_and_windows_lines_are_read(tmp_path):
    categories = read(tmp_path, "\ufeff" + CATEGORY_NAMES.replace("\n", "\r\n"))
    assert categories.level3_names == ["TASSE", "ASSIETTE, PLATE", "CASQUE", "HOUSSE", "TENNIS"]


def test_unknown_category(tmp_path):
    categories = read(tmp_path, CATEGORY_NAMES)
    with pytest.raises(CategoryError, match=r"one of the 5 in category_names.csv. Received: 77\."):
        categories.label_of(77)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"first line of .* must be category_id,.*Received: an empty file\."),
        ("id,name\n1,A\n", r"first line of .* must be category_id,.*Received: id,name\."),
        (HEADER, r"must have a row for each category\. Received: none\."),
        (HEADER + "1,A,B\n", r"Row 2 of .* 4 cells, none empty\. Received: \['1', 'A', 'B'\]\."),
        (HEADER + "1,A,,C\n", r"Row 2 of .* 4 cells, none empty\."),
        (HEADER + "one,A,B,C\n", r"Row 2 of .* start with a category_id.* Received: 'one'\."),
        (HEADER + "1_0,A,B,C\n", r"Row 2 of .* start with a category_id.* Received: '1_0'\."),
        (HEADER + f"1,A,B,C\n{'9' * 20},A,B,C\n", r"Row 3 of .* a whole number of 64 bits"),
        (HEADER + f"{2**63},A,B,C\n", r"Row 2 of .* Received: '9223372036854775808'\."),
        (HEADER + "1,A,B,C\n\n2,A,B,D\n", r"Row 3 of .* 4 cells, none empty\. Received: \[\]\."),
        (HEADER + "1,A,B,C,D\n", r"Row 2 of .* must have 4 cells"),
        # Unclosed quotes: up to the end, up to another quoted cell, up to a stray quote.
        (HEADER + '1,A,B,C\n2,A,B,"D\n3,A,B,E\n', r"Row 3 of .* a quote that is opened must be"),
        (HEADER + '1,A,B,"C\n2,A,B,"D"\n', r"Row 2 of .* a quote that is opened must be closed"),
        (HEADER + '1,A,B,"C\n2,A,B,D"\n3,A,B,E\n', r"Row 2 of .* must close each quote"),
        (HEADER + '1,A,B,"C"D\n', r"Row 2 of .* a quote that is opened must be closed"),
        (HEADER + '1,A,B,"' + "C" * 200_000, r"Row 2 of .* a quote that is opened must be closed"),
        (HEADER + "7,A,B,C\n7,A,B,D\n", r"must stand in one row of .*: 7 in rows 2 and 3\."),
    ],
)
def test_unusable_file(tmp_path, text, message):
    with pytest.raises(CategoryError, match=message):
        read(tmp_path, text)


def test_other_encodings_are_refused(tmp_path):
    with pytest.raises(CategoryError, match=r"must be a CSV file in UTF-8\. .*in row 3 .*decode"):
        read(tmp_path, HEADER + "1,A,B,C\n2,É,B,C\n", "latin-1")
    with pytest.raises(WrongKindError, match=r"category_names\.csv must be a CSV file.* in UTF-16"):
        read(tmp_path, HEADER + "1,A,B,C\n", "utf-16")


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n", "\n  \n"])
def test_blank_lines_may_end_the_file(tmp_path, end):
    assert read(tmp_path, CATEGORY_NAMES.rstrip() + end).num_categories == 5


def test_a_line_break_within_a_cell_is_kept(tmp_path):
    categories = read(tmp_path, HEADER + '1,A,B,C\n2,"SPORT\nLOISIRS",B,D\n3,E,B,F\n')
    assert categories.level1_names == ["A", "SPORT\nLOISIRS", "E"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["BIJOUX -  MONTRES", " A "], ["BIJOUX -  MONTRES", "A"]),
        (["SPORT\n LOISIRS", "B\u2028\r\nC"], ["SPORT LOISIRS", "B C"]),
        (["A", "A ", " A", "B"], ["A", "A (2)", "A (3)", "B"]),
        (["A (2)", "A", "A "], ["A (2)", "A", "A (3)"]),
    ],
)
def test_names_for_tfds_are_unique_and_one_line(names, expected):
    assert class_label_names(names) == expected


def test_pairs_that_join_to_the_same_name_are_two_labels(tmp_path):
    categories = read(tmp_path, HEADER + "1,A > B,C,X\n2,A,B > C,Y\n")
    assert categories.level2.tolist() == [0, 1]
    assert class_label_names(categories.level2_names) == ["A > B > C", "A > B > C (2)"]
