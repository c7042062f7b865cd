"""From documents to records: what is checked, and bytes equal to protobuf's."""

import math

import bson
import pytest
import tensorflow as tf
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from cdisc_tfds.categories import Categories
from cdisc_tfds.records import (
    MAX_NAMED_PICTURES,
    MAX_PICTURES,
    Product,
    RecordEncoder,
    RejectedPicture,
    RejectedProduct,
    example_of,
    image_hash,
    product_of,
    varint,
)
from tests.conftest import jpeg

CATEGORIES = Categories(
    [(number * 10, f"L1 {number % 3}", f"L2 {number % 7}", f"L3 {number}") for number in range(300)]
)
PICTURE = {"picture": jpeg()}


def document(**changes):
    return {"_id": 5, "imgs": [PICTURE], "category_id": 70} | changes


def rejected(labelled=True, **changes):
    with pytest.raises(RejectedProduct) as caught:
        product_of(document(**changes), CATEGORIES, labelled)
    return str(caught.value)


def test_a_plain_product():
    found = product_of(document(imgs=[PICTURE, {"picture": jpeg(2)}]), CATEGORIES, labelled=True)
    assert found == Product(5, [jpeg(), jpeg(2)], 7)


@pytest.mark.parametrize("number", [5, bson.Int64(5), 5.0, "5", "0005"])
def test_whole_numbers_of_any_type(number):
    found = product_of(document(_id=number, category_id="70"), CATEGORIES, labelled=True)
    assert found == Product(5, [jpeg()], 7)
    assert type(found.product_id) is int


def test_64_bit_ids():
    for number in (2**31, 2**63 - 1, -(2**63)):
        assert product_of(document(_id=number), CATEGORIES, True).product_id == number


@pytest.mark.parametrize(
    ("value", "received"),
    [
        (5.5, "5.5 (float)"),
        (math.nan, "nan (float)"),
        (math.inf, "inf (float)"),
        (2.0**63, "9.223372036854776e+18 (float)"),
        ("five", "'five' (str)"),
        ("-5", "'-5' (str)"),
        ("\u0665", "'\u0665' (str)"),
        ("9" * 19, "'9999999999999999999' (str)"),
        ("x" * 500, "'" + "x" * 79 + " (str)"),
        (True, "True (bool)"),
        (None, "None (NoneType)"),
        ([5], "[5] (list)"),
    ],
)
def test_numbers_that_cannot_be_used(value, received):
    for field in ("_id", "category_id"):
        message = f"`{field}` must be a whole number of 64 bits. Received: {received}."
        assert rejected(**{field: value}) == message


def test_missing_fields():
    assert rejected(imgs=None) == (
        "`imgs` must be a list of {picture: binary}. Received: NoneType."
    )
    with pytest.raises(RejectedProduct, match="`_id` must be .* Received: none"):
        product_of({"imgs": [PICTURE], "category_id": 70}, CATEGORIES, True)
    with pytest.raises(RejectedProduct, match="`category_id` must be .* Received: none"):
        product_of({"imgs": [PICTURE], "_id": 1}, CATEGORIES, True)


def test_unknown_category():
    assert rejected(category_id=71) == (
        "A category must be one of the 300 in category_names.csv. Received: 71."
    )


def test_order_of_fields_and_unknown_fields_do_not_matter():
    entry = {"note": 1, "picture": jpeg(), "size": 2}
    odd = {"category_id": 70, "title": "mug", "imgs": [entry], "price": None, "_id": 5}
    assert product_of(odd, CATEGORIES, True) == Product(5, [jpeg()], 7)


def test_pictures_that_cannot_be_used_are_left_out():
    imgs = [{"picture": b""}, PICTURE, {"picture": "text"}, b"", {}, {"picture": jpeg()[:-9]}]
    found = product_of(document(imgs=imgs), CATEGORIES, labelled=True)
    assert found.images == [jpeg()]
    no_binary = "it has no binary field `picture`"
    assert found.rejected == (
        RejectedPicture(0, "the picture is empty"),
        RejectedPicture(2, no_binary),
        RejectedPicture(3, no_binary),
        RejectedPicture(4, no_binary),
        RejectedPicture(5, "the JPEG has no end marker (ff d9): it was cut short"),
    )


def test_known_pictures_are_not_checked_again_unless_some_were_left_out(monkeypatch):
    checked = []
    monkeypatch.setattr("cdisc_tfds.records.jpeg_fault", lambda data: checked.append(data))
    imgs = [PICTURE, {"picture": jpeg(2)}]
    found = product_of(document(imgs=imgs), CATEGORIES, True, known_usable=2)
    assert found == Product(5, [jpeg(), jpeg(2)], 7) and not checked
    assert product_of(document(imgs=imgs), CATEGORIES, True, known_usable=1) == found
    assert checked == [jpeg(), jpeg(2)]


def test_other_binary_subtypes_and_sizes_are_pictures():
    imgs = [{"picture": bson.Binary(jpeg(), 128)}, {"picture": jpeg(1, (300, 20))}]
    data = bson.decode(bson.encode(document(imgs=imgs)))
    found = product_of(data, CATEGORIES, True)
    assert found.images == [jpeg(), jpeg(1, (300, 20))] and not found.rejected


def test_a_product_without_a_picture():
    assert rejected(imgs=[]) == (
        "a product to train on needs a picture that can be decoded (it has no pictures)"
    )
    assert rejected(imgs=[{"picture": b""}]) == (
        "a product to train on needs a picture that can be decoded "
        "(picture 0: the picture is empty)"
    )


def test_more_pictures_than_the_index_can_count():
    found = product_of(document(imgs=[PICTURE] * (MAX_PICTURES + 2)), CATEGORIES, True)
    assert len(found.images) == MAX_PICTURES
    assert [bad.position for bad in found.rejected] == [MAX_PICTURES, MAX_PICTURES + 1]
    assert found.rejected[0].reason == f"a product has at most {MAX_PICTURES} pictures"


@pytest.mark.parametrize(
    "changes",
    [
        {"imgs": []},
        {"imgs": None},
        {"imgs": [{"picture": b"GIF89a"}]},
        {"category_id": 71},
        {"category_id": "?"},
    ],
)
def test_products_to_predict_are_kept(changes):
    found = product_of(document(**changes), CATEGORIES, labelled=False)
    assert found.product_id == 5
    assert found.category == (7 if "imgs" in changes else -1)


def test_a_product_to_predict_needs_an_id():
    assert rejected(labelled=False, _id=None).startswith("`_id` must be a whole number")


def test_hash_is_xxh3_as_a_signed_integer():
    # What the reference implementation's `xxhsum -H3` prints.
    assert image_hash(b"") == 0x2D06800538D394C2
    negative = next(data for data in (b"%d" % n for n in range(99)) if image_hash(data) < 0)
    assert image_hash(negative) == xxhash.xxh3_64_intdigest(negative) - 2**64
    assert image_hash(b"abc") == 0x78AF5F94892F3950


# The encoding.


@given(st.integers(-(2**63), 2**63 - 1))
@settings(deadline=None)
def test_varint_is_protobufs(value):
    message = tf.train.Int64List(value=[value]).SerializeToString()
    assert varint(value) == message[2:]  # behind tag and length


@pytest.mark.parametrize("bits", range(64))
def test_varint_at_every_power_of_two(bits):
    for value in {2**bits - 1, 2**bits} - {2**63}:
        assert varint(value) == tf.train.Int64List(value=[value]).SerializeToString()[2:]


PRODUCTS = st.builds(
    Product,
    st.integers(-(2**63), 2**63 - 1),
    st.lists(st.binary(max_size=300), max_size=5),
    st.integers(-1, 299),
)


@given(PRODUCTS)
@settings(deadline=None)
def test_serialized_as_protobuf_does_it(product):
    """Byte for byte what TensorFlow's protobuf writes, with its map entries in sorted order."""
    feature = {}
    for name, value in example_of(product, CATEGORIES).items():
        if name == "images":
            feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        else:
            values = value if isinstance(value, list) else [value]
            feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    message = tf.train.Example(features=tf.train.Features(feature=feature))
    expected = message.SerializeToString(deterministic=True)
    assert RecordEncoder(CATEGORIES).serialize(product) == expected


def test_large_pictures():
    pictures = [bytes(size) for size in (127, 128, 16383, 16384, 2_097_151, 2_097_152)]
    record = RecordEncoder(CATEGORIES).serialize(Product(1, pictures, 0))
    parsed = tf.train.Example.FromString(record)
    assert list(parsed.features.feature["images"].bytes_list.value) == pictures


@given(
    st.dictionaries(
        st.sampled_from(["_id", "imgs", "category_id", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["picture", "x"]), inner, max_size=2)
            ),
            max_leaves=8,
        ),
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_any_document_gives_a_record_or_a_reason(document, labelled):
    try:
        product = product_of(document, CATEGORIES, labelled)
    except RejectedProduct as error:
        assert str(error)
    else:
        record = RecordEncoder(CATEGORIES).serialize(product)
        parsed = tf.train.Example.FromString(record)
        assert parsed.features.feature["product_id"].int64_list.value[0] == product.product_id


def test_very_many_pictures_that_cannot_be_used_are_counted():
    """A product may hold a million of them: naming each made one line of 50 MB."""
    bad = [{"picture": b""}] * 100_000
    reason = rejected(imgs=bad)
    assert len(reason) < 1000
    assert "picture 4: " in reason and "picture 5: " not in reason
    assert reason.endswith("; and 99,995 more)")

    found = product_of(document(imgs=[PICTURE, *bad]), CATEGORIES, labelled=True)
    assert found.images == [jpeg()]
    assert len(found.rejected) == MAX_NAMED_PICTURES + 1
    assert sum(picture.count for picture in found.rejected) == 100_000
    last = found.rejected[-1]
    assert (last.position, last.count) == (MAX_NAMED_PICTURES + 1, 100_000 - MAX_NAMED_PICTURES)
