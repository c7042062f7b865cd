"""What mongodump writes, with any fields, becomes the competition's files."""

import bson
import pytest

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.catalogue.dump_file import DumpFile
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.file_kinds import WrongKindError
from tests.conftest import CATEGORY_NAMES, product
from tests.helpers.shop_files import (
    archive,
    documents,
    make,
    packed,
    photo,
    rejected,
    table,
    write_files,
)

PRODUCTS = [product(3 * number, (1000000010, 1000000007)[number % 2], 3) for number in range(10)]
DUMP = b"".join(map(bson.encode, PRODUCTS))
USERS = [{"_id": number, "name": "x"} for number in range(5)]
FORMS = {
    ".bson": DUMP,
    ".bson.gz": packed(DUMP),
    "archive": archive({"shop.products": PRODUCTS, "admin.system.version": USERS}),
    "archive.gz": packed(archive({"shop.products": PRODUCTS}, segments=3)),
}


def write(tmp_path, data):
    path = tmp_path / "dump"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same_files(tmp_path, form):
    out = tmp_path / "out"
    (tmp_path / "names.csv").write_text(CATEGORY_NAMES, encoding="utf-8")
    path = write(tmp_path, FORMS[form])
    make(out, dump=path, category_names=tmp_path / "names.csv")
    expected = {one["_id"]: one for one in PRODUCTS}
    found = documents(out / "train.bson")
    assert {number: category for number, (category, _) in found.items()} == {
        number: one["category_id"] for number, one in expected.items()
    }
    for number, (_, pictures) in found.items():
        assert pictures == [entry["picture"] for entry in expected[number]["imgs"]]
    assert (out / "category_names.csv").read_text(encoding="utf-8") == CATEGORY_NAMES


def test_categories_are_numbers_without_names(tmp_path):
    make(tmp_path / "out", dump=write(tmp_path, DUMP))
    assert table(tmp_path / "out" / "category_names.csv")[1:] == [
        ["1000000007"] * 4,
        ["1000000010"] * 4,
    ]


def test_fields_are_mapped(tmp_path):
    shop = [
        {"sku": "A-1", "cat": {"path": "Home > Lamps"}, "media": [{"data": photo(1)}, {"x": 1}]},
        {"sku": "A-2", "cat": {"path": "Books"}, "media": [{"data": photo(2)}], "main": photo(3)},
        {"sku": 5.0, "media": {"data": photo(4)}},
    ]
    path = write(tmp_path, b"".join(map(bson.encode, shop)))
    options = dict(product_id="sku", category=("cat.path",), pictures=("main", "media.data"))
    make(tmp_path / "out", dump=path, **options)
    assert table(tmp_path / "out" / "product_ids.csv")[1:] == [
        ["1", "A-1"],
        ["2", "A-2"],
        ["3", "5"],
    ]
    assert documents(tmp_path / "out" / "train.bson") == {
        1: (2, [photo(1)]),
        2: (1, [photo(3), photo(2)]),
    }
    assert documents(tmp_path / "out" / "test.bson") == {3: (None, [photo(4)])}


def test_levels_as_a_list_and_pictures_as_names_of_files(tmp_path):
    images = write_files(tmp_path / "images", {"a.jpg": photo(1), "b.jpg": photo(2)})
    ids = [bson.ObjectId(), bson.ObjectId()]
    shop = [
        {"_id": ids[0], "levels": ["Home", "Lamps"], "files": ["a.jpg", "b.jpg"]},
        {"_id": ids[1], "levels": ["Home"], "files": "b.jpg"},
    ]
    path = write(tmp_path, b"".join(map(bson.encode, shop)))
    options = dict(category=("levels",), pictures=("files",))
    make(tmp_path / "out", dump=path, images=images, **options)
    assert [row[1] for row in table(tmp_path / "out" / "product_ids.csv")[1:]] == list(
        map(str, ids)
    )
    assert documents(tmp_path / "out" / "train.bson") == {
        1: (2, [photo(1), photo(2)]),
        2: (1, [photo(2)]),
    }
    with pytest.raises(CatalogueError, match="none of whose 2 can be used"):
        make(tmp_path / "other", dump=path, **options)
    lines = rejected(tmp_path / "other", "rejected_by_failed_run.jsonl")
    assert "--images says in which folder files are" in lines[0]["reason"]


def test_documents_that_cannot_be_used(tmp_path):
    shop = [product(1, 5), product(1, 6), {"imgs": []}, {"_id": {"a": 1}}, product(2, 5)]
    shop += [{"_id": 3, "imgs": 5, "category_id": 5}, *(product(n, 5) for n in range(10, 20))]
    raw = [bson.encode(one) for one in shop]
    broken = bytearray(bson.encode(product(4, 5)))
    broken[4] = 0x63  # no such type
    raw.append(bytes(broken))
    make(tmp_path / "out", dump=write(tmp_path, b"".join(raw)))
    starts = [sum(map(len, raw[:number])) for number in range(len(raw))]
    found = {line["document"]: line for line in rejected(tmp_path / "out")}
    assert sorted(found) == [1, 2, 3, 5, 16]
    assert all(line["offset"] == starts[document] for document, line in found.items())
    assert found[1]["reason"] == "an earlier product has the same id"
    assert found[2]["reason"] == "the document has 0 values of `_id`, not one"
    assert "a product to train on needs a picture" in found[5]["reason"]
    assert "does not parse" in found[16]["reason"]
    assert set(documents(tmp_path / "out" / "train.bson")) == {1, 2, *range(10, 20)}


CUTS = {
    "bson": (DUMP[:-7], "at byte"),
    "gzip": (packed(DUMP)[:-20], "whole gzip file"),
    "crc": (packed(DUMP)[:-6] + bytes(6), "whole gzip file"),
    "archive": (FORMS["archive"][:-60], "cut short"),
    "archive.gz": (packed(FORMS["archive"][:-60]), "cut short"),
}


@pytest.mark.parametrize("form", CUTS)
def test_a_dump_that_was_cut_short(tmp_path, form):
    data, reason = CUTS[form]
    path = write(tmp_path, data)
    with pytest.raises(BsonError, match=reason):
        make(tmp_path / "out", dump=path)
    assert list((tmp_path / "out").iterdir()) == []
    summary = make(tmp_path / "out", dump=path, keep_going=True)
    assert summary.rejected["bytes"] == 1
    assert rejected(tmp_path / "out")[0]["reason"].startswith("the rest of the dump: expected ")
    assert 0 < len(documents(tmp_path / "out" / "train.bson")) <= len(PRODUCTS)


def test_a_length_that_is_damage_takes_no_memory(tmp_path):
    path = write(tmp_path, DUMP + (2**31 - 1).to_bytes(4, "little") + bytes(100))
    with pytest.raises(BsonError, match="a length from 5 to"):
        make(tmp_path / "out", dump=path)


def test_the_collection_is_chosen(tmp_path):
    path = write(tmp_path, archive({"shop.old": PRODUCTS[:2], "shop.new": PRODUCTS[2:]}))
    message = "--collection must be one of .*: shop.old, shop.new. Received: "
    with pytest.raises(CatalogueError, match=f"{message}none"):
        make(tmp_path / "out", dump=path)
    with pytest.raises(CatalogueError, match=f"{message}shop.x"):
        make(tmp_path / "out", dump=path, collection="shop.x")
    make(tmp_path / "out", dump=path, collection="shop.old")
    assert list(documents(tmp_path / "out" / "train.bson")) == [0, 3]


def test_files_that_are_no_dump(tmp_path):
    with pytest.raises(WrongKindError, match="must be what mongodump writes.*Received: JSON text"):
        DumpFile.open(write(tmp_path, b'{"_id": 1}'))
    with pytest.raises(WrongKindError, match="Received: text"):
        DumpFile.open(write(tmp_path, packed(b"a,b\n1,2\n")))
    with pytest.raises(CatalogueError, match="--collection chooses from an archive"):
        DumpFile.open(write(tmp_path, DUMP), "a.b")
    with pytest.raises(CatalogueError, match="Received: .*/none"):
        DumpFile.open(tmp_path / "none")
    write_files(tmp_path / "folder", {"shop/p.bson": DUMP, "shop/p.metadata.json": b"{}"})
    with pytest.raises(CatalogueError, match="a folder with .*/shop/p.bson"):
        DumpFile.open(tmp_path / "folder")
    with pytest.raises(CatalogueError, match="Received: 0 documents"):
        make(tmp_path / "out", dump=write(tmp_path, b""))
    with pytest.raises(CatalogueError, match="none of which has it. The fields .* are: a"):
        make(tmp_path / "out", dump=write(tmp_path, bson.encode({"a": 1})))
    with pytest.raises(CatalogueError, match="The fields of the first are: _id, imgs, category_id"):
        make(tmp_path / "out", dump=write(tmp_path, DUMP), category=("rayon",))


def test_a_document_that_starts_like_gzip(tmp_path):
    first = {"_id": 1, "imgs": [{"picture": photo(1)}], "category_id": 5, "text": ""}
    first["text"] = "x" * (0x088B1F - len(bson.encode(first)))
    path = write(tmp_path, bson.encode(first) + DUMP)
    assert path.read_bytes()[:3] == packed(b"")[:3]
    assert not DumpFile.open(path).is_gzip
