"""Single pictures."""

import shutil

import pytest

from cdisc_tfds.built_dataset import BuiltDataset, DatasetError, newest_version
from cdisc_tfds.explore.pictures import Place, pictures_at
from cdisc_tfds.explore.scan import scan
from tests.conftest import jpeg
from tests.helpers.odd_data import LARGE


def scanned(data):
    return scan(data, on_start=lambda total: lambda number: None)


def test_pictures_by_place(data):
    splits = scanned(data)
    rows = {
        int(number): (ordinal, row)
        for ordinal, split in enumerate(splits)
        for row, number in enumerate(split.index.product_id)
    }
    wanted = {
        Place(*rows[3], 2): jpeg(2),
        Place(*rows[3], 0): jpeg(0),
        Place(*rows[13], 0): jpeg(5),
        Place(*rows[6], 0): LARGE,
    }
    assert pictures_at(splits, wanted) == wanted


def test_a_shard_that_changes_after_the_scan(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "data")
    copy = BuiltDataset(newest_version(tmp_path / "data"))
    splits = scanned(copy)
    path = splits[0].shard_of(0).path
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"changed")
    with pytest.raises(DatasetError, match=f"must be intact. Received, from {path}: a corrupted"):
        pictures_at(splits, [Place(0, 0, 0)])
    with open(path, "wb"):
        pass
    with pytest.raises(DatasetError, match="another record than before"):
        pictures_at(splits, [Place(0, 0, 0)])
