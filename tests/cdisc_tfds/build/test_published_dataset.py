"""A data set is built on a disk and copied to a storage, whole or not at all."""

import hashlib

import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.build.folder import BuildFolderError
from cdisc_tfds.build.identity import OtherSourcesError
from cdisc_tfds.build.published_dataset import MANIFEST, PublishedDataset, published_dataset
from cdisc_tfds.storage import copy_tree
from tests.conftest import CATEGORY_IDS, product, write_bson


def build(data_dir, manual_dir, **config):
    builder = cdisc_tfds.Builder(data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, **config)
    )
    return builder


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def test_it_has_the_bytes_of_a_local_one(competition, ram, tmp_path, temporary_folder):
    build(tmp_path / "data", competition)
    copy_tree(competition, ram / "manual")
    builder = build(ram / "data", ram / "manual")
    assert builder.info.splits["train"].num_examples == 20
    assert str(builder.data_path) == f"{ram}/data/cdiscount/1.0.0"
    local = digests(tmp_path / "data" / "cdiscount" / "1.0.0")
    found = digests(ram / "data" / "cdiscount" / "1.0.0")
    # The time of the input files differs.
    assert {name for name in local if found.pop(name) != local[name]} <= {"metadata.json"}
    assert not found and not list(temporary_folder.glob("cdiscount-*"))
    loaded = list(tfds.load("cdiscount", data_dir=f"{ram}/data", split="test"))
    assert len(loaded) == 6


def test_it_stays_unless_it_is_to_be_overwritten(competition, ram):
    data_dir = ram / "data"
    build(data_dir, competition)
    before = digests(data_dir)
    build(data_dir, competition)
    assert digests(data_dir) == before
    write_bson(competition / "train.bson", [product(1, CATEGORY_IDS[0])])
    with pytest.raises(OtherSourcesError, match=f"{data_dir}.* was not built from what is there"):
        build(data_dir, competition)
    assert digests(data_dir) == before
    overwrite = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    assert (
        build(data_dir, competition, download_mode=overwrite).info.splits["train"].num_examples == 1
    )


def test_a_copy_that_was_cut_short_is_no_data_set(competition, ram, monkeypatch):
    data_dir = ram / "data"

    def cut(source, target, last):
        target.mkdir(parents=True, exist_ok=True)
        (target / "cdiscount-test.tfrecord-00000-of-00009").write_bytes(b"left over")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cdisc_tfds.build.published_dataset.copy_tree", cut)
        build(data_dir, competition)
    assert not PublishedDataset(data_dir, "cdiscount", "1.0.0").is_complete
    made = []
    monkeypatch.setattr(
        "cdisc_tfds.build.dataset_build.build_split", lambda *args: made.append(args)
    )
    build(data_dir, competition)
    assert not made  # the finished data set was still on the disk
    names = {path.name for path in (data_dir / "cdiscount" / "1.0.0").iterdir()}
    assert MANIFEST in names and "cdiscount-test.tfrecord-00000-of-00009" not in names


def test_beam_needs_a_folder(competition, ram, tmp_path):
    with pytest.raises(BuildFolderError, match=f"all its machines see.*Received: {ram}/data"):
        build(ram / "data", competition, beam_runner="DirectRunner")
    assert published_dataset(str(tmp_path), "cdiscount", "1.0.0") is None
