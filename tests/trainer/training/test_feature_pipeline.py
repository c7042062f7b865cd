"""Batches of cached features: every picture once an epoch, in an order of the epoch's own."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.training import feature_pipeline
from trainer.training.feature_pipeline import inference_features, train_features


class _Features:
    """Stands for `Features`: a picture's features are its product's ordinal and its own number."""

    def __init__(self, split, products, missing=(), per_file=5, dtype=tf.float32):
        ordinals = np.repeat(products, split.index.num_pictures[products])
        readable = np.setdiff1d(np.arange(len(ordinals)), missing)
        self.ordinals = ordinals[readable].astype(np.int64)
        self.lengths = np.array(
            [len(part) for part in np.split(readable, range(per_file, len(readable), per_file))]
        )
        rows = np.stack([self.ordinals, readable], axis=1).astype(dtype.as_numpy_dtype)
        self._rows = np.split(rows, np.cumsum(self.lengths)[:-1])
        self.white = np.array([-1, -1], dtype.as_numpy_dtype)
        self.dtype = dtype
        self.loaded = []

    def rows(self, number):
        self.loaded.append(number)
        return self._rows[number]


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(feature_pipeline, "_SHUFFLE_BYTES", 80)  # two files of five


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(20) % 6))
    return data


def _batches(data, features, label_map=None, **changes):
    label_map = label_map or LabelMap(data.categories)
    arguments = dict(batch_size=4, seed=0, epoch=0) | changes
    dataset = train_features(features, LabelledSplit(data.split("train"), label_map), **arguments)
    return [(rows.numpy(), labels.numpy()) for rows, labels in dataset]


def _joined(batches):
    rows, labels = zip(*batches, strict=True)
    return np.concatenate(rows), np.concatenate(labels)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_every_picture_once_with_its_class(data, dtype):
    split = data.split("train")
    features = _Features(split, np.arange(20), dtype=dtype)
    batches = _batches(data, features)
    assert [len(rows) for rows, _ in batches[:-1]] == [4] * (len(batches) - 1)
    assert batches[0][0].dtype == dtype.as_numpy_dtype
    rows, labels = _joined(batches)
    assert sorted(rows[:, 1].tolist()) == list(range(split.num_pictures))
    np.testing.assert_array_equal(labels, split.index.category[rows[:, 0].astype(int)])
    assert rows[:, 1].tolist() != sorted(rows[:, 1].tolist())
    assert sorted(features.loaded) == list(range(len(features.lengths)))  # each file once


def test_an_epoch_is_repeatable_and_has_its_own_order(data):
    features = _Features(data.split("train"), np.arange(20))
    orders = [
        _joined(_batches(data, features, **changes))[0][:, 1].tolist()
        for changes in ({}, {}, {"epoch": 1}, {"seed": 1})
    ]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_skipping_leaves_the_rest_as_it_is(data, batch_size):
    features = _Features(data.split("train"), np.arange(20), missing=[3, 4, 30])
    whole = _batches(data, features, batch_size=batch_size)
    for skip in range(len(whole) + 1):
        rest = _batches(data, features, batch_size=batch_size, skip_steps=skip)
        assert len(rest) == len(whole) - skip
        for (rows, labels), (other_rows, other_labels) in zip(rest, whole[skip:], strict=True):
            np.testing.assert_array_equal(rows, other_rows)
            np.testing.assert_array_equal(labels, other_labels)


def test_skipped_groups_are_not_read(data):
    features = _Features(data.split("train"), np.arange(20))
    files = len(features.lengths)
    _batches(data, features, skip_steps=5)
    assert 0 < len(features.loaded) <= files - 4


def test_white_stands_for_pictures_that_cannot_be_decoded(data):
    split = data.split("train")
    features = _Features(split, np.arange(20), missing=[0, 1, 17])
    rows, labels = _joined(_batches(data, features))
    assert len(rows) == split.num_pictures
    white = rows[:, 1] == -1
    ordinals = np.repeat(np.arange(20), split.index.num_pictures)
    expected = split.index.category[ordinals[[0, 1, 17]]]
    assert sorted(labels[white].tolist()) == sorted(expected.tolist())


def test_products_without_a_class_are_not_missing(data):
    split = data.split("train")
    label_map = LabelMap(data.categories, "category", 0)
    known = np.flatnonzero(label_map.classes_of(split.index.category) >= 0)
    rows, labels = _joined(_batches(data, _Features(split, known), label_map))
    assert len(rows) == LabelledSplit(split, label_map).num_pictures < split.num_pictures
    assert (rows >= 0).all() and (labels >= 0).all()


def test_inference_in_the_records_order(data):
    features = _Features(data.split("train"), np.arange(20), missing=[2])
    batches = list(inference_features(features, 3))
    assert max(len(batch["product"]) for batch in batches) == 3
    products = np.concatenate([batch["product"] for batch in batches])
    rows = np.concatenate([batch["inputs"] for batch in batches])
    np.testing.assert_array_equal(products, features.ordinals)
    np.testing.assert_array_equal(rows[:, 0], features.ordinals)
    assert rows[:, 1].tolist() == sorted(rows[:, 1].tolist())
