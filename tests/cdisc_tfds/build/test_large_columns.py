"""Columns that exceed the memory are files, and the data set is the same."""

import errno

import numpy as np
import pytest

from cdisc_tfds.build import large_columns, split_order
from cdisc_tfds.build.large_columns import new_column, taken
from cdisc_tfds.build.part_table import COLUMNS, Part, PartTables, write_table
from cdisc_tfds.build.split_order import SplitOrder
from tests.cdisc_tfds.build.test_split_build import files, odd_competition, small_parts
from tests.cdisc_tfds.test_dataset_builder import build

__all__ = ["odd_competition", "small_parts"]


@pytest.fixture
def little_memory(monkeypatch):
    """For 5 products; 6 are sorted at a time, and 2 are copied."""
    monkeypatch.setattr(large_columns, "MOST_IN_MEMORY", 5)
    monkeypatch.setattr(large_columns, "_CHUNK_ROWS", 2)
    monkeypatch.setattr(split_order, "MOST_SORTED", 6)


@pytest.mark.parametrize("rows", [5, 6])
def test_a_column_leaves_no_file(tmp_path, little_memory, rows):
    column = new_column(rows, np.uint16, tmp_path)
    column[:] = range(rows)
    assert (type(column), column.dtype, column.sum()) == (np.ndarray, np.uint16, sum(range(rows)))
    assert taken(column, np.array([4, 0, 4, 1, 2, 3, 3]), tmp_path).tolist() == [
        4,
        0,
        4,
        1,
        2,
        3,
        3,
    ]
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error(small_disk, little_memory):
    with pytest.raises(OSError) as caught:
        new_column(1 << 20, np.int64, small_disk(1 << 20))
    assert caught.value.errno == errno.ENOSPC


def tables_of(folder, columns, number):
    """Tables of parts, each in the order of its keys."""
    paths, parts = [], []
    for rows in np.array_split(np.arange(len(columns["key_high"])), number):
        order = rows[np.lexsort((columns["key_low"][rows], columns["key_high"][rows]))]
        part = Part(0, 0, len(rows), len(rows))
        paths.append(str(folder / f"{len(paths)}.npz"))
        values = {
            name: columns.get(name, np.arange(len(columns["key_high"])))[order].astype(dtype)
            for name, dtype in COLUMNS.items()
        }
        write_table(paths[-1], part, values, [])
        parts.append(part)
    return PartTables(paths, [part.products for part in parts]), parts


@pytest.mark.parametrize("number", [1, 3, 40])
def test_keys_at_the_ends_of_their_range(tmp_path, little_memory, number):
    """Equal halves of keys, the least and the greatest: each row is in one range, in order."""
    rng = np.random.default_rng(0)
    high = rng.choice(np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], np.uint64), 40)
    low = rng.integers(0, 3, 40, np.uint64)
    ids = (high % np.uint64(1000)).astype(np.int64) * 10 + low.astype(np.int64)
    tables, parts = tables_of(
        tmp_path, {"key_high": high, "key_low": low, "product_id": ids}, number
    )
    order = SplitOrder.of(tables, parts, None, tmp_path)
    keys = list(zip(order.column("key_high").tolist(), order.column("key_low").tolist()))
    assert keys == sorted(set(zip(high.tolist(), low.tolist())))
    assert sorted([*order.rows.tolist(), *order.duplicates.tolist()]) == list(range(40))
    assert order.duplicates.tolist() == sorted(order.duplicates.tolist())
    first = [ids.tolist().index(product) for product in order.column("product_id").tolist()]
    assert order.column("document").tolist() == first  # of each product, the first


@pytest.mark.parametrize(("reread", "limit"), [(True, None), (False, None), (False, 9)])
def test_the_data_set_is_the_same(tmp_path, odd_competition, small_parts, request, reread, limit):
    options = {"config": {"num_shards": 3}, "reread": reread, "max_examples": limit}
    expected = files(build(tmp_path / "expected", odd_competition, **options))
    request.getfixturevalue("little_memory")
    assert files(build(tmp_path / "found", odd_competition, **options)) == expected
