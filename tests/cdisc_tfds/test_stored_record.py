"""Records read back, against our encoder and TensorFlow's."""

import random

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cdisc_tfds.categories import Categories
from cdisc_tfds.records import Product, RecordEncoder
from cdisc_tfds.stored_record import StoredRecordError, product_in
from tests.conftest import CATEGORY_NAMES

CATEGORIES = Categories.parse(CATEGORY_NAMES.encode(), "category_names.csv")
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, st.lists(st.binary(max_size=300), max_size=5), st.integers(-1, 4))
@settings(deadline=None, max_examples=50)
def test_what_the_encoder_wrote(product_id, images, category):
    product = Product(product_id, images, category)
    assert product_in(RecordEncoder(CATEGORIES).serialize(product)) == product


def feature(value):
    if isinstance(value, list):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


@given(INT64, st.lists(st.binary(max_size=300), max_size=5), st.integers(-1, 4))
@settings(deadline=None, max_examples=50)
def test_what_tensorflow_wrote(product_id, images, category):
    values = {"product_id": product_id, "images": images, "category": category, "level1": 3}
    example = tf.train.Example(
        features=tf.train.Features(feature={k: feature(v) for k, v in values.items()})
    )
    assert product_in(example.SerializeToString()) == Product(product_id, images, category)


def test_integers_that_are_not_packed():
    # Example > Features > map entry > Feature > Int64List with field 1 as a plain varint.
    def entry(name, feature):
        inner = bytes([0x0A, len(name), *name, 0x12, len(feature), *feature])
        return bytes([0x0A, len(inner), *inner])

    unpacked = bytes([0x1A, 2, 0x08])
    features = (
        entry(b"product_id", unpacked + b"\x07")
        + entry(b"category", unpacked + b"\x02")
        + entry(b"images", bytes([0x0A, 3, 0x0A, 1, 0xFF]))
    )
    record = bytes([0x0A, len(features), *features])
    example = tf.train.Example.FromString(record)
    assert example.features.feature["product_id"].int64_list.value[0] == 7
    assert product_in(record) == Product(7, [b"\xff"], 2)


def test_other_bytes_are_refused():
    record = RecordEncoder(CATEGORIES).serialize(Product(5, [b"abc"], 1))
    for bad in (b"", b"x", record[:-1], record[:20], bytes(40), b"\xff" * 40):
        with pytest.raises(StoredRecordError, match="^a record of another format"):
            product_in(bad)


def test_random_bytes_raise_nothing_else():
    rng = random.Random(0)
    record = RecordEncoder(CATEGORIES).serialize(Product(5, [b"abc" * 9], 1))
    outcomes = np.zeros(2, int)
    for _ in range(3000):
        changed = bytearray(record)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            product_in(bytes(changed))
            outcomes[0] += 1
        except StoredRecordError:
            outcomes[1] += 1
    assert outcomes.all()
