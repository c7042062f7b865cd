"""Merging parts: pieces, order, and what is cut off."""

import os

import numpy as np
import pytest

from cdisc_tfds.build import merged_shards
from cdisc_tfds.build.merged_shards import Merge, PartFileError


@pytest.fixture
def records():
    """40 records of 1 to 9 bytes in the split's order."""
    return [bytes([65 + number % 26]) * (1 + number * 7 % 9) for number in range(40)]


@pytest.fixture
def merge(tmp_path, records):
    """The records dealt to three parts by chance, with a dropped duplicate between them."""
    part = np.random.default_rng(0).integers(0, 3, len(records)).astype(np.int32)
    offset = np.zeros(len(records), np.int64)
    files = [b"", b"", b""]
    for row, (number, record) in enumerate(zip(part, records)):
        if row == 11:
            files[number] += b"#dropped#"
        offset[row] = len(files[number])
        files[number] += record
    paths = []
    for number, content in enumerate(files):
        (tmp_path / f"part-{number}").write_bytes(content)
        paths.append(os.fspath(tmp_path / f"part-{number}"))
    return Merge(paths, part, offset, np.array([len(record) for record in records]))


@pytest.mark.parametrize("piece_bytes", [1, 10, 37, 10_000])
def test_every_range_is_written_in_order(tmp_path, merge, records, monkeypatch, piece_bytes):
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", piece_bytes)
    for begin, end in [(0, 40), (0, 1), (39, 40), (5, 30)]:
        task = merge.shard(os.fspath(tmp_path / "shard"), begin, end)
        assert sum(len(piece.sizes) for piece in task.pieces) == end - begin
        assert all(piece.sizes.sum() <= max(piece_bytes, piece.sizes[0]) for piece in task.pieces)
        task.write()
        assert (tmp_path / "shard").read_bytes() == b"".join(records[begin:end])


def test_many_parts_are_read_in_larger_pieces(merge, monkeypatch):
    """Each piece opens the file of each part."""
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 10)
    few = merge.shard("shard", 0, 40)
    monkeypatch.setattr(merged_shards, "_MANY_PARTS", 3)
    monkeypatch.setattr(merged_shards, "_PARTS_PER_PIECE", 1)
    many = merge.shard("shard", 0, 40)
    assert max(piece.sizes.sum() for piece in few.pieces) <= 10
    assert 20 < max(piece.sizes.sum() for piece in many.pieces) <= 30
    assert many.stretches == few.stretches


def test_one_stretch_of_a_part_for_a_piece(merge):
    piece = merge.shard("shard", 10, 30).pieces[0]
    assert len(piece.stretches) == 3
    assert [path for path, _, _ in piece.stretches] == merge.records


def test_cutting_leaves_what_earlier_records_need(tmp_path, merge, records):
    before = sum(map(os.path.getsize, merge.records))
    merge.release(25, 40)
    assert sum(map(os.path.getsize, merge.records)) <= before - sum(map(len, records[25:]))
    merge.release(25, 40)  # again: nothing grows
    task = merge.shard(os.fspath(tmp_path / "shard"), 0, 25)
    task.write()
    assert (tmp_path / "shard").read_bytes() == b"".join(records[:25])


def test_a_short_part(tmp_path, merge):
    os.truncate(merge.records[1], 3)
    with pytest.raises(PartFileError) as caught:
        merge.shard(os.fspath(tmp_path / "shard"), 0, 40).write()
    assert str(caught.value).startswith(f"{merge.records[1]} must have ")
    assert str(caught.value).endswith(
        f" bytes. Received: fewer. Delete {tmp_path} and build again."
    )
    assert not (tmp_path / "shard").exists()
