"""Features of several bases, as batches of products."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.training import feature_pipeline
from trainer.training.feature_files import Features, write_features
from trainer.training.product_features import FeatureMismatchError, ProductFeatures
from trainer.training.product_pipeline import stored_pictures, train_products


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    return LabelledSplit(
        data.add("train", make_products(np.arange(23) % 6)), LabelMap(data.categories)
    )


def stored(folder, split, per_file, size=3, without=(), scale=1.0):
    """Features whose values are the product's ordinal, its picture's number, and more of these."""
    counts = split.split.index.num_pictures.copy()
    counts[list(without)] = 0
    ordinals = np.repeat(np.arange(len(counts)), counts)
    numbers = np.concatenate([np.arange(count) for count in counts])
    rows = np.stack([ordinals, numbers, *[ordinals] * (size - 2)], axis=1) * scale
    folder.mkdir()
    files = tuple(
        write_features(
            folder, number, ordinals[start:][:per_file], rows[start:][:per_file].astype(np.float16)
        )
        for number, start in enumerate(range(0, len(rows), per_file))
    )
    return Features(folder, files, np.full(size, -1, np.float16), tf.float16)


@pytest.mark.parametrize("per_file", [1, 2, 5, 1000])
def test_a_product_may_span_files(tmp_path, split, per_file):
    parts = [stored(tmp_path / "a", split, per_file), stored(tmp_path / "b", split, per_file, 2)]
    features = ProductFeatures(parts)
    begun = []
    for number in range(features.num_files):
        own, rows = features.begun_in(number), features.rows_of_begun(number)
        counts, products = features.groups.counts[own], np.arange(own.start, own.stop)
        np.testing.assert_array_equal(rows[:, 0], np.repeat(products, counts))
        np.testing.assert_array_equal(rows[:, 3:], rows[:, :2])  # the other base's
        begun += products.tolist()
    assert begun == list(range(23))
    ordinals, rows = zip(*stored_pictures(features, 4), strict=True)
    np.testing.assert_array_equal(np.concatenate(ordinals), features.ordinals)
    np.testing.assert_array_equal(np.concatenate(rows)[:, 0], features.ordinals)
    assert max(map(len, rows)) <= 4


def test_bases_that_saw_other_pictures_are_refused(tmp_path, split):
    parts = [stored(tmp_path / "a", split, 5), stored(tmp_path / "b", split, 5, without=[3])]
    with pytest.raises(FeatureMismatchError, match="must see the same readable pictures"):
        ProductFeatures(parts)


def batches_of(features, split, **changes):
    arguments = {"batch_size": 5, "seed": 1, "epoch": 0} | changes
    return [
        (inputs["features"].numpy(), inputs["mask"].numpy(), labels.numpy())
        for inputs, labels in train_products(features, split, **arguments)
    ]


@pytest.mark.parametrize("memory", [1, 200, 1 << 20])  # bytes: groups of one file, of some, of all
def test_every_product_once_with_all_its_pictures(tmp_path, split, monkeypatch, memory):
    monkeypatch.setattr(feature_pipeline, "_SHUFFLE_BYTES", memory)
    features = ProductFeatures([stored(tmp_path / "a", split, 7, without=[4, 9])])
    batches = batches_of(features, split)
    assert [len(labels) for *_, labels in batches] == [5, 5, 5, 5, 3]
    rows, mask, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert mask.any(axis=1).all() and not rows[~mask].any()
    ordinals = rows[:, 0, 0].astype(int)
    white = ordinals == -1  # no picture of these can be read
    assert sorted(ordinals[~white]) == [n for n in range(23) if n not in (4, 9)]
    assert sorted(labels[white]) == sorted(split.classes[[4, 9]])
    np.testing.assert_array_equal(labels[~white], split.classes[ordinals[~white]])
    counts = split.split.index.num_pictures[ordinals[~white]]
    np.testing.assert_array_equal(mask[~white].sum(axis=1), counts)
    for row, there in zip(rows[~white], mask[~white], strict=True):
        assert row[there, 1].tolist() == list(range(there.sum()))
    assert (
        sorted(batches_of(features, split, epoch=1)[0][2])
        and (batches_of(features, split, epoch=1)[0][0] != batches[0][0]).any()
    )


@pytest.mark.parametrize("skip", [1, 3, 5])
def test_skipping_changes_nothing_else(tmp_path, split, monkeypatch, skip):
    monkeypatch.setattr(feature_pipeline, "_SHUFFLE_BYTES", 200)
    features = ProductFeatures([stored(tmp_path / "a", split, 7)])
    everything = batches_of(features, split, picture_dropout=0.5)
    rest = batches_of(features, split, picture_dropout=0.5, skip_steps=skip)
    assert len(rest) == 5 - skip
    for ours, theirs in zip(everything[skip:], rest, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_dropped_pictures(tmp_path, split):
    features = ProductFeatures([stored(tmp_path / "a", split, 7)])
    left = []
    for epoch in range(40):
        for rows, mask, _ in batches_of(features, split, epoch=epoch, picture_dropout=0.9):
            assert mask.any(axis=1).all() and not rows[~mask].any()
            left.append(rows[mask][:, :2])
    left = np.concatenate(left)
    pictures, counts = np.unique(left, axis=0, return_counts=True)
    assert len(pictures) == split.num_pictures  # none is always left out
    # Of c pictures, one stays, and each of the others with probability 0.1.
    own = split.split.index.num_pictures
    assert len(left) / 40 == pytest.approx(np.sum(1 + 0.1 * (own - 1)), rel=0.05)
