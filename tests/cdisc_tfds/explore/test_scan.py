"""What is read of the shards, against the products that they were built from."""

import shutil

import numpy as np
import pytest

from cdisc_tfds.built_dataset import BuiltDataset, DatasetError, newest_version
from cdisc_tfds.explore import scan as scan_module
from cdisc_tfds.explore.scan import scan
from cdisc_tfds.explore.shard_scan import size_of
from cdisc_tfds.records import image_hash
from cdisc_tfds.tfrecord import read_record
from tests.conftest import jpeg
from tests.helpers.odd_data import LARGE, TEST, TRAIN


def scanned(data, **options):
    seen = []
    splits = scan(data, on_start=lambda total: seen.append(total) or seen.append, **options)
    assert seen[0] == sum(seen[1:])  # the progress ends at its total
    return {split.name: split for split in splits}


def pictures_of(number):
    if number == 6:
        return [LARGE]
    return [jpeg(shade) for shade in (TEST[number] if number in TEST else TRAIN[number][1])]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_the_whole_of_each_split(data, num_processes):
    splits = scanned(data, num_processes=num_processes)
    assert {name: len(split.index) for name, split in splits.items()} == {"train": 7, "test": 3}
    for split in splits.values():
        pictures = [p for number in split.index.product_id for p in pictures_of(number)]
        assert split.hashes.tolist() == list(map(image_hash, pictures))
        assert split.num_read == len(pictures)
        assert split.picture_bytes == sum(map(len, pictures))
        assert split.is_whole and split.read.all()
        expected = [(len(p), *((400, 300) if p == LARGE else (16, 16))) for p in pictures]
        assert split.measured.tolist() == list(map(list, expected))
        for row, number in enumerate(split.index.product_id):
            with open(split.shard_of(row).path, "rb") as file:
                file.seek(split.offsets[row])
                record = read_record(file)
            assert all(picture in record for picture in pictures_of(number))


def test_some_shards_at_random(data):
    chosen = set()
    for seed in range(8):
        split = scanned(data, max_shards=1, seed=seed)["train"]
        assert split.read.sum() == 1 and len(split.read) == 3
        assert split.hashes is None and not split.is_whole
        shard = split.shards[int(split.read.argmax())]
        rows = np.flatnonzero(split.offsets >= 0)
        assert rows.tolist() == list(range(shard.first, shard.first + shard.num_products))
        assert split.num_read == split.index.num_pictures[rows].sum() == len(split.measured)
        chosen.add(shard.path)
    assert len(chosen) > 1
    assert scanned(data, max_shards=9)["train"].is_whole


def test_a_sample_of_the_pictures_is_measured(data, monkeypatch):
    monkeypatch.setattr(scan_module, "_MEASURED_PICTURES", 3)  # one in 10 // 3
    counts = {len(scanned(data, seed=seed)["train"].measured) for seed in range(5)}
    assert counts <= {2, 3, 4} and counts


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "a corrupted record at 0."),
        (lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "a corrupted record at "),
    ],
)
def test_a_damaged_shard_is_told_in_a_sentence(tmp_path, data_dir, change, fault):
    shutil.copytree(data_dir, tmp_path / "data")
    copy = BuiltDataset(newest_version(tmp_path / "data"))
    path = copy.data_path / "cdiscount-train.tfrecord-00001-of-00003"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DatasetError) as error:
        scanned(copy)
    assert f"The shards of a data set must be intact. Received, from {path}: {fault}" in str(
        error.value
    )
    assert "Copy the data set again" in str(error.value)


def test_a_shard_of_another_split_or_that_is_gone(tmp_path, data_dir, monkeypatch):
    shutil.copytree(data_dir, tmp_path / "data")
    copy = BuiltDataset(newest_version(tmp_path / "data"))
    paths = [copy.data_path / f"cdiscount-train.tfrecord-0000{n}-of-00003" for n in range(3)]
    copy.index("train")  # checks the sizes; what changes later shows in the records
    first, second = (path.read_bytes() for path in paths[:2])
    paths[0].write_bytes(second)
    with pytest.raises(DatasetError, match="record 0 is of another product than the index says"):
        scanned(copy)
    paths[0].write_bytes(b"")
    with pytest.raises(DatasetError, match="fewer records than the index says"):
        scanned(copy)
    paths[0].write_bytes(first)

    def gone(paths=paths):
        paths[2].unlink()
        return paths.append

    with pytest.raises(DatasetError, match="no such file: the data set was deleted"):
        scan(copy, on_start=lambda total: gone())


def test_the_size_of_a_damaged_header_is_nothing():
    assert size_of(jpeg(1, (20, 30))) == (20, 30)
    assert size_of(jpeg(1)[:20]) == (0, 0)
