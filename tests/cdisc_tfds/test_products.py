"""Products of a file in file order, and the list of what is left out."""

import json

import pytest

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.categories import Categories
from cdisc_tfds.products import (
    Rejection,
    UnusableProductsError,
    check_first,
    duplicate,
    read_products,
)
from tests.conftest import product, write_bson

CATEGORIES = Categories([(7, "A", "B", "C")])


@pytest.fixture
def path(tmp_path):
    documents = [product(1, 7), product(2, 8), product(3, 7, pictures=2), {"_id": "x", "imgs": []}]
    documents[2]["imgs"][0]["picture"] = b"GIF"
    return write_bson(tmp_path / "train.bson", documents)


def test_products_and_rejections(path):
    rejections, landing = [], []
    found = list(
        read_products(
            path, CATEGORIES, True, rejections.append, on_landing=lambda *a: landing.append(a)
        )
    )
    assert [(document, one.product_id) for document, _, one in found] == [(0, 1), (2, 3)]
    assert [(r.kind, r.document, r.product, r.picture) for r in rejections] == [
        ("product", 1, 2, None),
        ("picture", 2, 3, 0),
        ("product", 3, None, None),
    ]
    assert rejections[1].offset == found[1][1]
    assert landing == [(path.stat().st_size, 4)]


def test_damage(path):
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(BsonError, match="document 3 at byte"):
        list(read_products(path, CATEGORIES, True, lambda _: None))
    rejections, landing = [], []
    list(
        read_products(
            path,
            CATEGORIES,
            True,
            rejections.append,
            keep_going=True,
            on_landing=lambda *a: landing.append(a),
        )
    )
    assert rejections[-1].kind == "bytes" and rejections[-1].document == 3
    assert rejections[-1].reason.endswith("(is the file truncated?)")
    assert landing == [(len(data) - 3, 4)]


def place(offset):
    """In the second file of a split."""
    return "train-2.bson", offset - 3000


def test_lines_are_json():
    found = Rejection("picture", 12, 3456, 9, 2, "the picture is empty")
    line = found.to_json("train", place)
    assert json.loads(line) == {
        "split": "train",
        "file": "train-2.bson",
        "kind": "picture",
        "document": 12,
        "offset": 456,
        "product": 9,
        "picture": 2,
        "reason": "the picture is empty",
    }
    assert duplicate(1, 2, 3).reason == "an earlier product has the same `_id`"


def test_first_documents(path, tmp_path):
    check_first(path, CATEGORIES, labelled=True)
    check_first(path, Categories([(9, "A", "B", "C")]), labelled=False)
    with pytest.raises(UnusableProductsError) as caught:
        check_first(path, Categories([(9, "A", "B", "C")]), labelled=True)
    assert str(caught.value) == (
        f"{path} must hold products with the categories of category_names.csv. Received: 4 "
        "documents at its start, none of which can be used. The first: A category must be one of "
        "the 1 in category_names.csv. Received: 7."
    )


def test_damage_that_may_continue_behind_the_part(path):
    """Whoever knows where documents continue closes the stretch: the same line either way."""
    data = bytearray(path.read_bytes())
    second = int.from_bytes(data[:4], "little")
    third = second + int.from_bytes(data[second : second + 4], "little")
    data[second : second + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)

    def rejections(stop):
        found, landing = [], []
        products = read_products(
            path,
            CATEGORIES,
            True,
            found.append,
            stop=stop,
            keep_going=True,
            on_landing=lambda *place: landing.append(place),
        )
        list(products)
        return found, landing

    (open_end,), landing = rejections(stop=third - 1)
    assert landing == [(None, 2)]
    (closed, *_), landing = rejections(stop=third + 1)
    assert landing[0][0] > third
    assert open_end.closed_at(third) == closed
    assert closed.reason.startswith(f"{third - second} bytes skipped: expected a length from 5 ")


def test_a_line_that_stands_for_many_pictures_counts_them():
    line = json.loads(Rejection("picture", 1, 2, 3, 100, "empty", 900).to_json("train", place))
    assert (line["picture"], line["count"]) == (100, 900)
