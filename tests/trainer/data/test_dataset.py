"""Splits of a built data set: their files, their index, and what is refused."""

import json
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.product_index import ProductIndex, ProductIndexError
from tests.conftest import CATEGORY_IDS, CATEGORY_NAMES, write_competition
from trainer.data.dataset import open_dataset, products_in_common, require_disjoint
from trainer.data.label_map import LabelMap

SPECS = [
    "train",
    "test",
    "train[:80%]",
    "train[80%:]",
    "train[3:11]",
    "train[-5:]",
    "train[12:]+train[:4]",
    "test+train[7:9]",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """20 and 6 products in three shards a split."""
    folder = tmp_path_factory.mktemp("built")
    manual_dir = tmp_path_factory.mktemp("manual")
    write_competition(manual_dir)
    cdisc_tfds.Builder(data_dir=folder, stock_writer=True).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, num_shards=3)
    )
    return folder


@pytest.fixture
def data(data_dir):
    return open_dataset(data_dir)


def ids_as_tfds_reads_them(data_dir, spec):
    """Product ids by TFDS's own reader, files one after the other."""
    dataset = tfds.load(
        "cdiscount",
        split=spec,
        data_dir=data_dir,
        decoders=tfds.decode.PartialDecoding({"product_id": True}),
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    return [int(record["product_id"]) for record in tfds.as_numpy(dataset)]


@pytest.mark.parametrize("spec", SPECS)
def test_split_lists_the_products_that_tfds_reads(data, data_dir, spec):
    split = data.split(spec)
    assert split.index.product_id.tolist() == ids_as_tfds_reads_them(data_dir, spec)
    assert split.num_products == data.num_products(spec) == len(split.index)
    assert split.spec == spec


@pytest.mark.parametrize("spec", SPECS)
def test_files_of_a_split_hold_its_products_in_order(data, spec):
    split = data.split(spec)
    records = []
    for part in split.files:
        records += list(tf.data.TFRecordDataset(part.path))[part.skip : part.skip + part.take]
    ids = [
        tf.train.Example.FromString(r.numpy()).features.feature["product_id"].int64_list.value[0]
        for r in records
    ]
    assert ids == split.index.product_id.tolist()


def test_index_knows_pictures_and_categories(data):
    split = data.split("train")
    # write_competition: product 3 * i has 1 + i % 4 pictures and the category of row i % 5.
    place = split.index.product_id // 3
    assert split.index.num_pictures.tolist() == (1 + place % 4).tolist()
    assert split.index.category.tolist() == (place % 5).tolist()
    assert split.num_pictures == 50
    assert data.split("test").index.category.tolist() == [-1] * 6
    assert data.split_sizes == {"train": 20, "test": 6}


def test_categories_come_from_the_data_sets_own_copy(data):
    assert data.categories.category_ids.tolist() == list(CATEGORY_IDS)
    assert data.label_map_digest == LabelMap(data.categories).digest
    assert data.categories_path.read_text(encoding="utf-8") == CATEGORY_NAMES


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("trian", "Unknown split 'trian'"),
        ("train[", "Error parsing split 'train['"),
        ("train[:21]", "incompatible with 20 examples"),
    ],
)
def test_unknown_split_names_the_splits(data, spec, reason):
    with pytest.raises(DatasetError) as error:
        data.split(spec)
    assert str(error.value).startswith(
        "A split is one of train (20 products), test (6 products), or a part of one in TFDS's "
        f"notation (train[:80%], train[1000:2000], test+train). Received: {spec!r} ("
    )
    assert reason in str(error.value)


@pytest.mark.parametrize("spec", ["train[:0]", "train[:1%]", "train[80%:10%]"])
def test_empty_split_is_refused(data, spec):
    with pytest.raises(DatasetError) as error:
        data.split(spec)
    assert str(error.value) == (
        f"A split must hold at least one product. {spec!r} holds none of train (20 products), "
        "test (6 products)."
    )


@pytest.mark.parametrize("spec", ["train+train", "train[:50%]+train[9:]"])
def test_split_with_a_product_twice_is_refused(data, spec):
    with pytest.raises(DatasetError, match="holds each product once.*overlap. Choose parts"):
        data.split(spec)


def test_training_and_validation_may_not_overlap(data):
    first, second = data.split("train[:12]"), data.split("train[10:]")
    common = products_in_common(first, second)
    assert common.tolist() == sorted(data.split("train[10:12]").index.product_id)
    with pytest.raises(DatasetError) as error:
        require_disjoint(first, second)
    assert "'train[:12]' and 'train[10:]' share 2." in str(error.value)
    assert "Choose --train_split and --validation_split that do not overlap" in str(error.value)
    require_disjoint(data.split("train[:10]"), second)


def test_data_set_that_is_not_built(tmp_path):
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    assert str(error.value) == (
        f"The data set must be built first. {tmp_path}/cdiscount holds no finished version. Build "
        "it with `tfds build cdiscount --imports=cdisc_tfds --manual_dir=DIR "
        f"--data_dir={tmp_path}`, where DIR holds train.bson, test.bson and category_names.csv, or "
        "give the folder where it is with --data_dir."
    )


def test_build_that_was_stopped_is_not_opened(tmp_path):
    (tmp_path / "cdiscount" / "1.0.0").mkdir(parents=True)
    with pytest.raises(DatasetError, match="holds no finished version"):
        open_dataset(tmp_path)


def test_newest_version_is_opened(data_dir, tmp_path):
    shutil.copytree(data_dir / "cdiscount" / "1.0.0", tmp_path / "cdiscount" / "1.0.0")
    newer = shutil.copytree(data_dir / "cdiscount" / "1.0.0", tmp_path / "cdiscount" / "1.10.0")
    assert open_dataset(tmp_path).data_path == newer


@pytest.fixture
def copied_dir(data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_index_of_another_build_is_refused(copied_dir):
    folder = copied_dir / "cdiscount" / "1.0.0"
    shutil.copy(folder / "cdiscount-test.index.npz", folder / "cdiscount-train.index.npz")
    data = open_dataset(copied_dir)
    assert data.split("test").num_products == 6
    with pytest.raises(DatasetError) as error:
        data.split("train[:2]")
    assert "must have a row for each of the 20 products of the split 'train'. It has 6. Build" in (
        str(error.value)
    )


def test_missing_files_are_named(copied_dir):
    folder = copied_dir / "cdiscount" / "1.0.0"
    (folder / "cdiscount-train.index.npz").unlink()
    (folder / "category_names.csv").unlink()
    data = open_dataset(copied_dir)
    with pytest.raises(ProductIndexError, match="cdiscount-train.index.npz, which does not exist"):
        data.split("train")
    with pytest.raises(DatasetError, match="category_names.csv does not exist. Build it again"):
        _ = data.categories


def test_other_file_formats_are_refused(data_dir, copied_dir):
    info = copied_dir / "cdiscount" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"array_record"'))
    with pytest.raises(DatasetError) as error:
        open_dataset(copied_dir)
    assert "A data set must be in TFRecord files." in str(error.value)
    assert "has the format array_record. Build it again without --file_format" in str(error.value)


def test_official_example_file(cdiscount_files, tmp_path):
    manual_dir = cdiscount_files
    cdisc_tfds.Builder(data_dir=tmp_path, stock_writer=True).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    data = open_dataset(tmp_path)
    train = data.split("train")
    assert (train.num_products, train.num_pictures) == (82, 110)
    assert data.categories.num_categories == 5270
    assert len(np.unique(train.index.category)) == 36


def without_shard_sizes(folder):
    """Makes the metadata what it was before version 0.2."""
    path = next(folder.rglob("metadata.json"))
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in metadata.items() if k != "shard_bytes"}))


@pytest.mark.parametrize(
    ("old", "received"),
    [
        (
            False,
            r"The shard .*tfrecord-00001.* must have [\d,]+ bytes\. Received: ",
        ),
        (True, r"3 shards of the split 'train' .* in all\. Received: "),
    ],
)
def test_a_shard_that_is_missing_or_cut_short_is_refused(data_dir, tmp_path, old, received):
    """Cut between two records it would look like a shard with fewer products."""
    copy = shutil.copytree(data_dir, tmp_path / "copy")
    if old:
        without_shard_sizes(copy)
    shard = sorted(copy.rglob("cdiscount-train.tfrecord-*"))[1]
    intact = shard.read_bytes()
    (length,) = struct.unpack("<Q", intact[:8])
    shard.write_bytes(intact[: length + 16])
    with pytest.raises(DatasetError, match=received + r"[\d,]+ bytes\. Copy the data set again"):
        open_dataset(copy).split("train[:1]")
    shard.unlink()
    with pytest.raises(DatasetError, match=rf"Received: no .*{shard.name}\. Copy the data set"):
        open_dataset(copy).split("train")
    assert open_dataset(copy).split("test").num_products == 6
    shard.write_bytes(intact)
    assert open_dataset(copy).split("train").num_products == 20


def test_shards_of_other_sizes_with_the_same_sum_are_refused(copied_dir):
    """Two shards that changed places, which the sum of their sizes does not tell."""
    first, second, _ = sorted(copied_dir.rglob("cdiscount-train.tfrecord-*"))
    assert first.stat().st_size != second.stat().st_size
    aside = first.rename(copied_dir / "aside")
    second.rename(first)
    aside.rename(second)
    with pytest.raises(DatasetError, match=rf"The shard .*{first.name} must have [\d,]+ bytes"):
        open_dataset(copied_dir).split("train")


def test_an_index_that_was_changed_is_refused(copied_dir):
    path = next(copied_dir.rglob("cdiscount-train.index.npz"))
    index = ProductIndex.load(path)
    index.category[:] = np.roll(index.category, 1)
    index.save(path)
    with pytest.raises(DatasetError, match="index.npz is not the index that this data set was bui"):
        open_dataset(copied_dir).split("train")


def test_the_parallel_builds_shards_have_the_expected_bytes(tmp_path, competition):
    cdisc_tfds.Builder(data_dir=tmp_path).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=competition, num_shards=2)
    )
    assert open_dataset(tmp_path).split("train").num_products == 20
