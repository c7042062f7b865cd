"""A table of products and their picture files becomes the competition's files."""

import pytest

from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.categories import Categories
from tests.helpers.shop_files import (
    documents,
    make,
    photo,
    rejected,
    table,
    write_csv,
    write_files,
)

PHOTOS = {f"{number}.jpg": photo(number) for number in range(10)}


@pytest.fixture
def shop(tmp_path):
    """A function that makes a catalogue of rows (the header first) and pictures 0.jpg to 9.jpg."""
    images = write_files(tmp_path / "images", PHOTOS)

    def run(rows, files=None, **options):
        write_files(images, files or {})
        options.setdefault("csv", write_csv(tmp_path / "products.csv", rows))
        return make(tmp_path / "out", images=images, **options)

    run.out = tmp_path / "out"
    return run


def test_ids_and_levels_of_their_own(shop):
    rows = [
        ("product_id", "category_id", "level1", "level2", "level3", "image1", "image2"),
        (30, 1000000020, "HOME", "LAMPS", "DESK", "0.jpg", "1.jpg"),
        (10, 1000000010, "BOOKS", "CRIME", "NOIR", "2.jpg", ""),
        (20, 1000000020, "HOME", "LAMPS", "DESK", "3.jpg", "4.jpg"),
    ]
    summary = shop(rows)
    assert list(documents(shop.out / "train.bson").items()) == [
        (30, (1000000020, [PHOTOS["0.jpg"], PHOTOS["1.jpg"]])),
        (10, (1000000010, [PHOTOS["2.jpg"]])),
        (20, (1000000020, [PHOTOS["3.jpg"], PHOTOS["4.jpg"]])),
    ]
    assert table(shop.out / "category_names.csv")[1:] == [
        ["1000000010", "BOOKS", "CRIME", "NOIR"],
        ["1000000020", "HOME", "LAMPS", "DESK"],
    ]
    assert sorted(path.name for path in shop.out.iterdir()) == [
        "catalogue.json",
        "category_names.csv",
        "train.bson",
    ]
    assert summary.files["train.bson"] == {"products": 3, "pictures": 5}
    assert sum(summary.rejected.values()) == 0


def test_ids_that_are_no_numbers_get_numbers_and_a_table(shop):
    rows = [
        ("sku", "category", "photos"),
        ("B-7", "Home > Lamps", "0.jpg|1.jpg"),
        ("a,7", "Books", "2.jpg"),
        ("B-7", "Home > Lamps", "3.jpg"),  # another row of the first product
        ("007", "Home > Lamps > Desk > Small", "4.jpg"),
        ("7", "Books", "5.jpg;6.jpg"),
    ]
    shop(rows)
    assert table(shop.out / "product_ids.csv") == [
        ["product_id", "id"],
        ["1", "B-7"],
        ["2", "a,7"],
        ["3", "007"],
        ["4", "7"],
    ]
    assert table(shop.out / "category_names.csv")[1:] == [
        ["1", "Books", "Books", "Books"],
        ["2", "Home", "Lamps", "Desk > Small"],
        ["3", "Home", "Lamps", "Lamps"],
    ]
    found = documents(shop.out / "train.bson")
    assert found[1] == (3, [PHOTOS["0.jpg"], PHOTOS["1.jpg"], PHOTOS["3.jpg"]])
    assert found[3] == (2, [PHOTOS["4.jpg"]]) and found[4][1] == [PHOTOS["5.jpg"], PHOTOS["6.jpg"]]


def test_rows_that_are_numbered(shop):
    rows = [("category", "image"), ("A", "0.jpg"), ("B", "1.jpg\n2.jpg"), ("A", "none.jpg")]
    summary = shop([*rows, ("A", "3.jpg")], product_id="row")
    assert documents(shop.out / "train.bson") == {
        1: (1, [PHOTOS["0.jpg"]]),
        2: (2, [PHOTOS["1.jpg"], PHOTOS["2.jpg"]]),
        4: (1, [PHOTOS["3.jpg"]]),
    }
    assert "columns: product id = number of the row; category" in summary.notes[0]
    assert not (shop.out / "product_ids.csv").exists()


def test_products_without_a_category_are_to_be_predicted(shop):
    rows = [("id", "category", "image"), (5, "A", "0.jpg"), (6, "", "1.jpg"), (7, " ", "no.jpg")]
    summary = shop(rows)
    assert documents(shop.out / "train.bson") == {5: (1, [PHOTOS["0.jpg"]])}
    assert documents(shop.out / "test.bson") == {6: (None, [PHOTOS["1.jpg"]]), 7: (None, [])}
    assert summary.rejected == {"picture": 1, "product": 0, "bytes": 0}
    assert rejected(shop.out) == [
        {
            "split": "test",
            "kind": "picture",
            "document": 2,
            "offset": None,
            "product": "7",
            "picture": 0,
            "file": "no.jpg",
            "reason": "there is no such file",
        }
    ]
    assert not (shop.out / "solution.csv").exists()


def test_what_cannot_be_used_is_listed(shop):
    rows = [
        ("id", "category", "image", "image2"),
        *((number, "A", f"{number}.jpg", "") for number in range(10)),
        (10, "A", "none.jpg", "1.jpg"),
        (11, "A", "text.jpg", ""),
        ("", "A", "1.jpg", ""),
        (12, "A", "1.jpg", "", "2.jpg"),
        (13, "A", "1.jpg", ""),
        (13, "B", "2.jpg", ""),
        (14, "A", "", ""),
    ]
    summary = shop(rows, {"text.jpg": b"<html>"}, delimiter=",")
    found = {
        (line["kind"], line["document"], line["product"]): line["reason"]
        for line in rejected(shop.out)
    }
    assert found == {
        ("product", 12, None): "line 14 has no id",
        ("product", 13, None): "line 15 has 5 cells, the header 4",
        ("picture", 10, "10"): "there is no such file",
        ("product", 11, "11"): (
            "a product to train on needs a picture (picture 0: it is no picture of a format "
            "that is read, or a damaged one: it starts with 3c 68 74 6d 6c 3e)"
        ),
        ("product", 14, "13"): "its rows name several categories: A; B",
        ("product", 16, "14"): "a product to train on needs a picture (it has none)",
    }
    assert summary.rejected == {"picture": 1, "product": 5, "bytes": 0}
    assert list(documents(shop.out / "train.bson")) == list(range(11))


def test_a_table_in_utf_16_with_rows_that_are_too_short(shop, tmp_path):
    rows = [
        ("id", "image", "category", "note"),
        (1, "0.jpg", "Thé"),
        (2, "1.jpg"),
        (3, "2.jpg", "B"),
    ]
    summary = shop(rows, csv=write_csv(tmp_path / "p.csv", rows, ";", "utf-16"))
    assert documents(shop.out / "train.bson") == {
        1: (2, [PHOTOS["0.jpg"]]),
        3: (1, [PHOTOS["2.jpg"]]),
    }
    assert documents(shop.out / "test.bson") == {2: (None, [PHOTOS["1.jpg"]])}
    assert table(shop.out / "category_names.csv")[1:] == [["1", *"BBB"], ["2", *["Thé"] * 3]]
    assert sum(summary.rejected.values()) == 0


def test_more_than_four_pictures_stay_and_more_than_255_do_not(shop):
    files = {f"p{number}.jpg": photo(number, (4, 4)) for number in range(260)}
    rows = [("id", "category", "image"), *((1, "A", name) for name in files), (1, "A", "p0.jpg")]
    summary = shop(rows, files)
    assert documents(shop.out / "train.bson")[1][1] == list(files.values())[:255]
    assert summary.rejected["picture"] == 5  # the file that is named twice counts once
    assert rejected(shop.out)[0]["reason"] == "a product has at most 255 pictures"


def test_many_bad_pictures_of_a_product_are_counted(shop):
    names = [f"none{number}.jpg" for number in range(130)]
    rows = [("id", "category", "image"), (1, "A", "|".join([*names, "1.jpg"]))]
    rows += [(number, "A", "|".join(PHOTOS)) for number in range(2, 30)]
    summary = shop(rows)
    lines = rejected(shop.out)
    assert len(lines) == 101 and summary.rejected["picture"] == 130
    assert lines[100]["count"] == 30 and lines[100]["picture"] == 100


def test_a_document_has_a_largest_size(shop, monkeypatch):
    monkeypatch.setattr("cdisc_tfds.catalogue.encoding.MAX_DOCUMENT_BYTES", 4000)
    rows = [("id", "category", "image"), (1, "A", "|".join(PHOTOS))]
    shop(rows, keep_going=True)
    kept = documents(shop.out / "train.bson")[1][1]
    assert 0 < sum(map(len, kept)) < 4000 and 0 < len(kept) < len(PHOTOS)
    assert "more than 4,000 bytes" in rejected(shop.out)[0]["reason"]
    assert (shop.out / "train.bson").stat().st_size < 4000


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("id", "image")], {}, "must have rows of products. Received: none."),
        (
            [("id", "image"), (1, "0.jpg")],
            {},
            "none of whose products has one. If they are to be predicted, add --split=test",
        ),
        (
            [("id", "category", "image"), (1, "A", "x"), (2, "A", "y"), (3, "A", "1.jpg")],
            {},
            "At least half of the products must be usable. Received: 2 of 3 that are not",
        ),
        (
            [("id", "category", "image"), (1, "A", "x|y|z|1.jpg")],
            {},
            "At least half of the pictures must be usable. Received: 3 of 4 that are not",
        ),
        ([("id", "category", "image"), (1, "A", "x")], {}, "none of whose 1 can be used"),
        (
            [("id", "category", "image"), *((n, "A", "x") for n in range(300))],
            {},
            "Received: 128 at the start, none of which has a picture that can be used. The last "
            "reason: a product to train on needs a picture .picture 0: there is no such file",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_made(shop, rows, options, message):
    with pytest.raises(CatalogueError, match=message):
        shop(rows, **options)
    there = {path.name for path in shop.out.iterdir()}
    assert there <= {"rejected_by_failed_run.jsonl"}
    if "half" in message:
        assert rejected(shop.out, "rejected_by_failed_run.jsonl")


def test_going_on_with_what_is_left(shop):
    rows = [("id", "category", "image"), (1, "A", "x"), (2, "A", "y"), (3, "A", "1.jpg")]
    with pytest.raises(CatalogueError):
        shop(rows)
    assert shop(rows, keep_going=True).files["train.bson"] == {"products": 1, "pictures": 1}
    assert not (shop.out / "rejected_by_failed_run.jsonl").exists()


def test_latin_1_comes_with_a_note(tmp_path, shop):
    rows = [("id", "catégorie", "image"), (1, "Thé", "0.jpg")]
    path = write_csv(tmp_path / "latin.csv", rows, ";", "latin-1")
    summary = shop([], csv=path)
    assert table(shop.out / "category_names.csv")[1][1] == "Thé"
    assert any("is not UTF-8, so it was read as Latin-1" in note for note in summary.notes)


def test_names_of_any_kind_are_only_names(shop):
    name = '<script>alert("1")</script> \'; DROP TABLE rows; -- 日本 🍎'
    rows = [("id", "category", "image"), (name, name, "0.jpg"), ("=1+1", "A", "1.jpg")]
    shop(rows, category_separator="::")
    assert table(shop.out / "product_ids.csv")[1:] == [["1", name], ["2", "=1+1"]]
    assert Categories.from_csv(shop.out / "category_names.csv").level1_names == [name, "A"]
    assert len(documents(shop.out / "train.bson")) == 2


def test_a_separator_of_levels_is_suggested(shop):
    rows = [("id", "category", "image"), (1, "Home/Lamps", "0.jpg"), (2, "Books/X", "1.jpg")]
    assert any("--category_separator='/' divides them" in note for note in shop(rows).notes)
    shop(rows, category_separator="/", overwrite=True)
    assert table(shop.out / "category_names.csv")[1] == ["1", "Books", "X", "X"]


def test_given_categories_are_the_only_ones(tmp_path, shop):
    names = tmp_path / "names.csv"
    names.write_text(
        "category_id,category_level1,category_level2,category_level3\n9,A,B,C\n8,D,D,D\n"
    )
    rows = [("id", "category", "image"), (1, "A > B > C", "0.jpg"), (2, "D", "1.jpg")]
    rows += [(3, "E", "2.jpg"), (4, "A>B>C", "3.jpg")]
    shop(rows, category_names=names)
    assert (shop.out / "category_names.csv").read_bytes() == names.read_bytes()
    found = documents(shop.out / "train.bson")
    assert {number: category for number, (category, _) in found.items()} == {1: 9, 2: 8, 4: 9}
    assert rejected(shop.out)[0]["reason"] == "category_names.csv has no category E"


def test_a_share_set_aside(shop):
    rows = [("id", "category", "image"), *((n, "AB"[n % 2], f"{n % 10}.jpg") for n in range(200))]
    shop(rows, test_share=0.25)
    train, test = (documents(shop.out / f"{split}.bson") for split in ("train", "test"))
    assert sorted([*train, *test]) == list(range(200)) and 30 <= len(test) <= 70
    assert all(category is None for category, _ in test.values())
    solution = table(shop.out / "solution.csv")
    assert solution[0] == ["_id", "category_id"]
    assert solution[1:] == [[str(n), str(1 + n % 2)] for n in test]
    # A product stays on its side when others go.
    shop(rows[:100], test_share=0.25, overwrite=True)
    assert set(documents(shop.out / "test.bson")) == {n for n in test if n < 99}


def test_train_alone_and_test_alone(shop):
    rows = [("id", "category", "image"), (1, "A", "0.jpg"), (2, "", "1.jpg")]
    shop(rows, split="train")
    assert list(documents(shop.out / "train.bson")) == [1]
    assert rejected(shop.out)[0]["reason"] == "it has no category"
    shop(rows, split="test", overwrite=True)
    assert documents(shop.out / "test.bson") == {
        1: (None, [PHOTOS["0.jpg"]]),
        2: (None, [PHOTOS["1.jpg"]]),
    }
    assert table(shop.out / "solution.csv") == [["_id", "category_id"], ["1", "1"]]
