"""The table of docs/damage.md, row by row, through the builder: what becomes of each kind."""

import json
import pathlib
import struct

import bson
import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.build.rejections import TooManyRejectedError
from cdisc_tfds.product_index import ProductIndex
from tests.conftest import CATEGORY_IDS, CATEGORY_NAMES, jpeg, product, write_bson

TABLE = pathlib.Path(__file__).parents[2] / "docs" / "damage.md"
CATEGORY = CATEGORY_IDS[1]
GOOD = {"picture": jpeg(1)}


def document(product_id, *pictures, **changes):
    return {"_id": product_id, "category_id": CATEGORY, "imgs": list(pictures)} | changes


NUMBER = "must be a whole number of 64 bits. Received: "
NEEDS_PICTURE = "a product to train on needs a picture that can be decoded "
EMPTY, NO_JPEG, CUT = (
    "the picture is empty",
    "the picture is not a JPEG: it starts with 47 49 46, not with ff d8 ff",
    "the JPEG has no end marker (ff d9): it was cut short",
)
# The table's words -> document 10, and in train and test: how many pictures its record keeps (None:
# there is no record), and the reason that rejected.jsonl gives (None: no line).
KINDS = {
    "an empty picture": (document(10, {"picture": b""}, GOOD), (1, EMPTY), (1, EMPTY)),
    "no JPEG": (document(10, GOOD, {"picture": b"GIF89a"}), (1, NO_JPEG), (1, NO_JPEG)),
    "a picture cut short": (document(10, GOOD, {"picture": jpeg(1)[:-9]}), (1, CUT), (1, CUT)),
    "another size": (document(10, {"picture": jpeg(1, (300, 20))}), (1, None), (1, None)),
    "no picture that can be read": (
        document(10, {"picture": b""}),
        (None, f"{NEEDS_PICTURE}(picture 0: {EMPTY})"),
        (0, EMPTY),
    ),
    "no pictures": (document(10), (None, f"{NEEDS_PICTURE}(it has no pictures)"), (0, None)),
    "an unknown category": (
        document(10, GOOD, category_id=5),
        (None, "A category must be one of the 5 in category_names.csv. Received: 5."),
        (1, None),
    ),
    "no category": ({"_id": 10, "imgs": [GOOD]}, (None, f"`category_id` {NUMBER}none."), (1, None)),
    "a double as `_id`": (document(10.0, GOOD), (1, None), (1, None)),
    "an int64 as `_id`": (document(bson.Int64(10), GOOD), (1, None), (1, None)),
    "text as `category_id`": (document(10, GOOD, category_id=str(CATEGORY)), (1, None), (1, None)),
    "another order": (dict(reversed(document(10, GOOD).items())), (1, None), (1, None)),
    "unknown fields": (document(10, GOOD, title="mug", price=None), (1, None), (1, None)),
    "no `_id`": (
        {"category_id": CATEGORY, "imgs": [GOOD]},
        (None, f"`_id` {NUMBER}none."),
        (None, f"`_id` {NUMBER}none."),
    ),
    "no whole number": (
        document(10.5, GOOD),
        (None, f"`_id` {NUMBER}10.5 (float)."),
        (None, f"`_id` {NUMBER}10.5 (float)."),
    ),
}


def build(folder, train, test, **options):
    """Builds three good products a split, then those given; returns the data set's folder."""
    good = [product(number, CATEGORY) for number in (1, 2, 3)]
    manual_dir = folder / "manual"
    manual_dir.mkdir(exist_ok=True)
    (manual_dir / "category_names.csv").write_text(CATEGORY_NAMES)
    write_bson(manual_dir / "train.bson", good + train)
    write_bson(manual_dir / "test.bson", good + test)
    builder = cdisc_tfds.Builder(data_dir=folder / "data", **options)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return builder


def pictures_of(builder, split):
    """{product id: number of pictures} from the index, and from the records themselves."""
    index = ProductIndex.load(ProductIndex.path_in(builder.data_path, split))
    found = dict(zip(index.product_id.tolist(), index.num_pictures.tolist()))
    records = tfds.as_numpy(
        builder.as_dataset(split=split, decoders={"images": tfds.decode.SkipDecoding()})
    )
    assert {int(r["product_id"]): len(list(r["images"])) for r in records} == found
    return found


def rejections(builder):
    path = builder.data_path / "rejected.jsonl"
    return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


@pytest.mark.parametrize("kind", KINDS)
def test_damage(tmp_path, kind, caplog):
    damaged, *outcomes = KINDS[kind]
    builder = build(tmp_path, [damaged], [damaged])
    counts, expected = {}, []
    for split, (pictures, reason) in zip(("train", "test"), outcomes):
        kept = {1: 1, 2: 1, 3: 1} | ({} if pictures is None else {10: pictures})
        assert pictures_of(builder, split) == kept
        counts[split] = {"picture": 0, "product": 0, "bytes": 0}
        if reason is not None:
            what = "product" if pictures is None else "picture"
            product_id = 10 if damaged.get("_id") == 10 else None
            expected.append((split, what, 3, product_id, reason))
            counts[split][what] = 1
    fields = ("split", "kind", "document", "product", "reason")
    assert [tuple(line[name] for name in fields) for line in rejections(builder)] == expected
    assert builder.info.metadata["rejected"] == counts
    assert ("Not all that the files hold could be used" in caplog.text) == bool(expected)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_duplicate_id(tmp_path, split):
    again = [document(2, GOOD, GOOD)]
    builder = build(tmp_path, again if split == "train" else [], again if split == "test" else [])
    assert pictures_of(builder, split) == {1: 1, 2: 1, 3: 1}
    (line,) = rejections(builder)
    assert (line["split"], line["kind"], line["document"], line["product"], line["reason"]) == (
        *(split, "product", 3, 2),
        "an earlier product has the same `_id`",
    )


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[:-20], "a zero byte at the end of the document's"),
        (lambda data: struct.pack("<i", -1) + data[4:], "a length from 5 to the"),
        (lambda data: data[:-1] + b"\1", "a zero byte at the end of the document's"),
        (lambda data: data[:4] + b"\x42" + data[5:], "the fields of a BSON document in its"),
    ],
    ids=["cut", "length", "end", "fields"],
)
def test_a_damaged_document(tmp_path, damage, expected):
    build(tmp_path, [], [])  # only for the folder of files
    train = tmp_path / "manual" / "train.bson"
    begin = train.stat().st_size
    with open(train, "ab") as file:
        file.write(damage(bson.encode(document(4, GOOD))))
        file.write(b"".join(bson.encode(document(number, GOOD)) for number in (5, 6)))
    config = tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
    strict = cdisc_tfds.Builder(data_dir=tmp_path / "strict")
    with pytest.raises(BsonError) as caught:
        strict.download_and_prepare(download_config=config)
    assert str(caught.value).startswith(
        f"{train}: document 3 at byte {begin} is damaged. Expected: {expected}"
    )
    assert not strict.data_path.exists()
    going = cdisc_tfds.Builder(data_dir=tmp_path / "going", keep_going=True)
    going.download_and_prepare(download_config=config)
    assert set(pictures_of(going, "train")) >= {1, 2, 3}
    (line,) = rejections(going)
    assert (line["kind"], line["offset"], line["document"]) == ("bytes", begin, 3)
    assert going.info.metadata["rejected"]["train"]["bytes"] == 1


@pytest.mark.parametrize("stock_writer", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
def test_more_than_half_of_a_split_is_too_much(tmp_path, split, stock_writer):
    """Three good products, and as many or more that cannot be used."""
    unusable = [document(number, GOOD, category_id=5) for number in range(10, 14)]
    if split == "test":
        unusable = [document(number + 0.5, GOOD) for number in range(10, 14)]

    def build_with(number, folder, **options):
        splits = {"train": [], "test": []} | {split: unusable[:number]}
        folder.mkdir()
        return build(folder, **splits, stock_writer=stock_writer, **options)

    assert len(rejections(build_with(3, tmp_path / "half"))) == 3
    with pytest.raises(TooManyRejectedError) as caught:
        build_with(4, tmp_path / "more")
    text = str(caught.value)
    assert f"{split}.bson must be usable. Received: 4 of 7 that are not; " in text
    assert ("Check that category_names.csv is complete" in text) == (split == "train")
    assert "set CDISCOUNT_KEEP_GOING=1" in text
    assert len(rejections(build_with(4, tmp_path / "going", keep_going=True))) == 4


def test_the_page_on_damage_has_a_row_for_each_kind():
    table = TABLE.read_text(encoding="utf-8")
    assert table
    for kind in [*KINDS, "a duplicate `_id`", "a damaged document"]:
        assert kind in table, f"docs/damage.md does not say what becomes of {kind}."
