"""A folder per category becomes the competition's files."""

import os

import pytest

from cdisc_tfds.catalogue.options import CatalogueError
from tests.helpers.shop_files import documents, make, photo, rejected, table, write_files


def names_of(out):
    """The shop's id of each product, by `_id`."""
    return {int(number): name for number, name in table(out / "product_ids.csv")[1:]}


def categories_of(out):
    names = {int(row[0]): " > ".join(row[1:]) for row in table(out / "category_names.csv")[1:]}
    found = documents(out / "train.bson")
    return {number: names[category] for number, (category, _) in found.items()}


def test_each_file_is_a_product(tmp_path):
    files = {
        "Home/Lamps/b10.jpg": photo(1),
        "Home/Lamps/b2.png": photo(2, format="PNG"),
        "Home/a.jpg": photo(3),
        "Books/Crime/Noir/Old/c.webp": photo(4, format="WEBP"),
    }
    out = tmp_path / "out"
    make(out, folders=write_files(tmp_path / "shop", files))
    assert names_of(out) == {1: "c", 2: "a", 3: "b2", 4: "b10"}
    assert categories_of(out) == {
        1: "Books > Crime > Noir > Old",
        2: "Home > Home > Home",
        3: "Home > Lamps > Lamps",
        4: "Home > Lamps > Lamps",
    }
    assert documents(out / "train.bson")[4][1] == [files["Home/Lamps/b10.jpg"]]


def test_names_that_are_not_unique_give_way_to_paths(tmp_path):
    files = {"A/1.jpg": photo(1), "B/1.jpg": photo(2)}
    make(tmp_path / "out", folders=write_files(tmp_path / "shop", files))
    assert names_of(tmp_path / "out") == {1: "A/1.jpg", 2: "B/1.jpg"}


def test_names_that_are_numbers_stay(tmp_path):
    files = {"A/12_2.jpg": photo(1), "A/12_1.jpg": photo(2), "A/12_10.jpg": photo(3)}
    files |= {"B/7.jpg": photo(4), "B/8 (1).jpg": photo(5), "B/9-2.jpg": photo(6)}
    out = tmp_path / "out"
    make(out, folders=write_files(tmp_path / "shop", files), product="name")
    assert not (out / "product_ids.csv").exists()
    found = documents(out / "train.bson")
    order = ["A/12_1.jpg", "A/12_2.jpg", "A/12_10.jpg"]
    assert found[12] == (1, [files[name] for name in order])
    assert sorted(found) == [7, 8, 9, 12]


def test_a_folder_per_product(tmp_path):
    files = {"A/B/p1/x.jpg": photo(1), "A/B/p1/y.jpg": photo(2), "A/B/p2/x.jpg": photo(3)}
    files |= {"p3/x.jpg": photo(4)}
    out = tmp_path / "out"
    make(out, folders=write_files(tmp_path / "shop", files), product="folder")
    assert names_of(out) == {1: "p1", 2: "p2", 3: "p3"}
    assert categories_of(out) == {1: "A > B > B", 2: "A > B > B"}
    assert list(documents(out / "test.bson")) == [3]  # p3 lies in no category


def test_files_in_no_category_are_to_be_predicted(tmp_path):
    files = {"1.jpg": photo(1), "A/2.jpg": photo(2)}
    out = tmp_path / "out"
    make(out, folders=write_files(tmp_path / "shop", files))
    assert list(documents(out / "train.bson")) == [2] and list(documents(out / "test.bson")) == [1]
    make(
        tmp_path / "flat", folders=write_files(tmp_path / "one", {"1.jpg": photo(1)}), split="test"
    )
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == [
        "catalogue.json",
        "test.bson",
    ]


def test_what_is_no_picture_is_listed_and_leftovers_do_not_count(tmp_path):
    files = {f"A/{number}.jpg": photo(number) for number in range(4)}
    files |= {"A/.DS_Store": b"x", "A/Thumbs.db": b"x", "A/.hidden/1.jpg": b"x"}
    files |= {"A/notes.txt": b"to do", "A/cut.jpg": photo(1)[:-40]}
    shop = write_files(tmp_path / "shop", files)
    os.symlink(shop / "A", shop / "A again")
    os.mkfifo(shop / "A" / "pipe.jpg")
    summary = make(tmp_path / "out", folders=shop)
    assert summary.rejected == {"picture": 0, "product": 4, "bytes": 0}
    reasons = {line["product"]: line["reason"] for line in rejected(tmp_path / "out")}
    assert reasons["A again"] == "a link to a folder is not followed"
    assert "it is no picture of a format that is read" in reasons["notes"]
    assert "cut short" in reasons["cut"] and "it is not a regular file" in reasons["pipe"]
    assert "3 hidden or system files do not count" in summary.notes


def test_names_of_any_kind(tmp_path):
    shop = write_files(tmp_path / "shop", {"Thé & \"café\" 'x'; <b>/🍎 日本.jpg": photo(1)})
    folder = os.fsencode(shop) + b"/A"
    os.mkdir(folder)
    for number, name in enumerate((b"\xe9.jpg", b"\xe8.jpg")):  # Latin-1, no UTF-8
        with open(os.path.join(folder, name), "wb") as file:
            file.write(photo(10 + number))
    out = tmp_path / "out"
    make(out, folders=shop)
    assert names_of(out) == {1: "\\xe8", 2: "\\xe9", 3: "🍎 日本"}
    assert table(out / "category_names.csv")[2][1] == "Thé & \"café\" 'x'; <b>"
    assert documents(out / "train.bson")[2][1] == [photo(10)]


def test_decomposed_and_composed_names_are_one_category(tmp_path):
    files = {"Cafe\u0301/1.jpg": photo(1), "Caf\u00e9/2.jpg": photo(2)}
    make(tmp_path / "out", folders=write_files(tmp_path / "shop", files))
    assert len(table(tmp_path / "out" / "category_names.csv")) == 2


@pytest.mark.parametrize("empty", ["", "A"])
def test_an_empty_folder(tmp_path, empty):
    (tmp_path / "shop" / empty).mkdir(parents=True)
    with pytest.raises(CatalogueError, match="a folder of pictures for each category. Rec"):
        make(tmp_path / "out", folders=tmp_path / "shop")


def test_no_folder(tmp_path):
    with pytest.raises(CatalogueError, match="--folders must be a folder. Received: .*none"):
        make(tmp_path / "out", folders=tmp_path / "none")
