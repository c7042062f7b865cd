"""The sidecar of a split: columns, bytes, and what a damaged one says."""

import numpy as np
import pytest

from cdisc_tfds.product_index import ProductIndex, ProductIndexError


@pytest.fixture
def index():
    return ProductIndex(np.array([5, 2**40, -3]), np.array([1, 4, 0]), np.array([7, -1, 5269]))


def test_round_trip(tmp_path, index):
    path = ProductIndex.path_in(tmp_path, "train")
    assert path.name == "cdiscount-train.index.npz"
    index.save(path)
    loaded = ProductIndex.load(path)
    assert loaded.product_id.tolist() == [5, 2**40, -3]
    assert loaded.num_pictures.tolist() == [1, 4, 0]
    assert loaded.category.tolist() == [7, -1, 5269]
    assert (loaded.product_id.dtype, loaded.num_pictures.dtype, loaded.category.dtype) == (
        np.int64,
        np.uint8,
        np.int32,
    )
    assert len(loaded) == 3 and loaded.total_pictures == 5
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]  # no partial file stays


def test_same_index_same_bytes(tmp_path, index):
    index.save(tmp_path / "a.npz")
    index.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_pictures_are_counted_beyond_a_byte():
    index = ProductIndex(np.arange(1000), np.full(1000, 255), np.zeros(1000))
    assert index.total_pictures == 255_000


def test_rows(index):
    assert index[1:].product_id.tolist() == [2**40, -3]
    assert index[index.category >= 0].category.tolist() == [7, 5269]


def test_pieces_are_joined_and_one_alone_is_not_copied(index):
    joined = ProductIndex.joined([index[:2], index[2:]])
    assert joined.digest == index.digest
    rows = index[1:]
    assert np.shares_memory(ProductIndex.joined([rows]).product_id, index.product_id)


def test_columns_of_different_lengths():
    with pytest.raises(ProductIndexError, match=r"one row for each record.*\(2,\), \(1,\), \(2,\)"):
        ProductIndex(np.zeros(2), np.zeros(1), np.zeros(2))


def test_missing_file(tmp_path):
    with pytest.raises(ProductIndexError, match=r"train.npz, which does not exist. Build the data"):
        ProductIndex.load(tmp_path / "train.npz")


@pytest.mark.parametrize("keep", [0, 10, 100, 400])
def test_damaged_file(tmp_path, index, keep):
    path = tmp_path / "train.npz"
    index.save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ProductIndexError, match="must be an index as `tfds build"):
        ProductIndex.load(path)


def test_foreign_file(tmp_path):
    path = tmp_path / "train.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(ProductIndexError, match="product_id"):
        ProductIndex.load(path)
