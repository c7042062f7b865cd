"""The TFDS builder: TFDS's own conformance test, the records, the commands, and missing files."""

import hashlib
import os
import pathlib
import pickle
import subprocess
import sys

import bson
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import xxhash

import cdisc_tfds
from cdisc_tfds.categories import Categories
from cdisc_tfds.manual_files import ManualFilesError
from cdisc_tfds.product_index import ProductIndex
from tests.conftest import CATEGORY_IDS, CATEGORY_NAMES

matplotlib.use("Agg")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def build(data_dir, manual_dir, max_examples=None, config=None, **kwargs):
    """Builds the data set in this process and returns its builder."""
    builder = cdisc_tfds.Builder(data_dir=data_dir, **kwargs)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual_dir, max_examples_per_split=max_examples, **(config or {})
        )
    )
    return builder


def records(builder, split):
    """Every record with its pictures as bytes, in the order of the shards."""
    dataset = builder.as_dataset(
        split=split,
        decoders={"images": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    return list(tfds.as_numpy(dataset))


class CdiscountTest(tfds.testing.DatasetBuilderTestCase):
    """What TFDS asks of every data set: files, features, reloading, tags, registration."""

    DATASET_CLASS = cdisc_tfds.Builder
    SPLITS = {"train": 6, "test": 4}


def test_newest_release_note_is_of_this_version():
    assert max(cdisc_tfds.Builder.RELEASE_NOTES) == str(cdisc_tfds.Builder.VERSION)


def test_records_hold_the_documents(tmp_path, competition):
    builder = build(tmp_path / "data", competition)
    categories = Categories.from_csv(competition / "category_names.csv")
    for split, labelled in (("train", True), ("test", False)):
        documents = bson.decode_all((competition / f"{split}.bson").read_bytes())
        by_id = {document["_id"]: document for document in documents}
        found = records(builder, split)
        assert sorted(record["product_id"] for record in found) == sorted(by_id)
        for record in found:
            document = by_id[record["product_id"]]
            pictures = [entry["picture"] for entry in document["imgs"]]
            assert record["images"].tolist() == pictures
            hashes = [xxhash.xxh3_64_intdigest(picture) for picture in pictures]
            assert record["image_hashes"].astype(np.uint64).tolist() == hashes
            label = CATEGORY_IDS.index(document["category_id"]) if labelled else -1
            assert record["category"] == label
            assert record["level1"] == (categories.level1[label] if labelled else -1)
            assert record["level2"] == (categories.level2[label] if labelled else -1)


def test_what_lies_beside_the_shards(tmp_path, competition):
    builder = build(tmp_path / "data", competition)
    copy = builder.data_path / "category_names.csv"
    assert copy.read_bytes() == (competition / "category_names.csv").read_bytes()
    for split in ("train", "test"):
        index = ProductIndex.load(ProductIndex.path_in(builder.data_path, split))
        found = records(builder, split)
        assert index.product_id.tolist() == [record["product_id"] for record in found]
        assert index.num_pictures.tolist() == [len(record["images"]) for record in found]
        assert index.category.tolist() == [record["category"] for record in found]
    nothing = {"picture": 0, "product": 0, "bytes": 0}
    for info in (builder.info, cdisc_tfds.Builder(data_dir=tmp_path / "data").info):
        metadata = dict(info.metadata)
        assert metadata["num_products"] == {"train": 20, "test": 6}
        assert metadata["num_pictures"] == {"train": 50, "test": 13}
        assert metadata["rejected"] == {"train": nothing, "test": nothing}
        for split in ("train", "test"):
            shard = builder.data_path / f"cdiscount-{split}.tfrecord-00000-of-00001"
            assert metadata["shard_bytes"][split] == [os.path.getsize(shard)]
            index = ProductIndex.load(ProductIndex.path_in(builder.data_path, split))
            assert metadata["index_digest"][split] == index.digest
            source = competition / f"{split}.bson"
            (origin,) = metadata["origin"]["sources"][split]
            assert origin["file"] == source.name
            assert origin["bytes"] == source.stat().st_size
        csv = (competition / "category_names.csv").read_bytes()
        assert metadata["origin"]["categories_digest"] == hashlib.sha256(csv).hexdigest()
        assert metadata["origin"]["max_examples_per_split"] is None
        assert info.features["category"].names == list(map(str, CATEGORY_IDS))
        assert info.features["level2"].names[2] == "MAISON > PROTECTION"
    assert not (builder.data_path / "rejected.jsonl").exists()


def test_competition_example_alone_is_train(tmp_path, cdiscount_files):
    builder = build(tmp_path, cdiscount_files)
    assert set(builder.info.splits) == {"train"}
    assert builder.info.metadata["num_products"] == {"train": 82}
    assert builder.info.metadata["num_pictures"] == {"train": 110}
    assert builder.info.features["category"].num_classes == 5270
    assert builder.info.features["level1"].num_classes == 49
    assert builder.info.features["level2"].num_classes == 486
    documents = bson.decode_all((cdiscount_files / "train_example.bson").read_bytes())
    pictures = {document["_id"]: [p["picture"] for p in document["imgs"]] for document in documents}
    for record in records(builder, "train"):
        assert record["images"].tolist() == pictures[record["product_id"]]


def test_tfds_shows_it(tmp_path, competition):
    build(tmp_path / "data", competition)
    for split in ("train", "test"):
        dataset, info = tfds.load(
            "cdiscount", split=split, data_dir=tmp_path / "data", with_info=True
        )
        figure = tfds.show_examples(dataset, info, rows=1, cols=2)
        assert len(figure.axes) == 2
        first = next(iter(tfds.as_numpy(dataset.take(1))))
        cell = figure.axes[0]
        assert cell.get_title().startswith(str(first["product_id"]))
        assert len(cell.child_axes) == len(first["images"])
        assert cell.child_axes[0].images[0].get_array().shape == (16, 16, 3)
        frame = tfds.as_dataframe(dataset.take(3), info)
        assert frame["product_id"].iloc[0] == first["product_id"]
        assert "<img" in frame._repr_html_()


def test_a_product_without_pictures_can_be_read_and_shown(tmp_path, competition):
    with open(competition / "test.bson", "ab") as file:
        file.write(bson.encode({"_id": 1000, "imgs": []}))
    build(tmp_path / "data", competition)
    dataset, info = tfds.load("cdiscount", split="test", data_dir=tmp_path / "data", with_info=True)
    empty = [product for product in tfds.as_numpy(dataset) if product["product_id"] == 1000]
    assert [product["images"].shape for product in empty] == [(0, 0, 0, 3)]
    tfds.show_examples(dataset, info)
    assert tfds.as_dataframe(dataset, info)._repr_html_()


def test_sub_splits_and_supervised(tmp_path, competition):
    build(tmp_path / "data", competition)
    dataset = tfds.load(
        "cdiscount", split="train[:50%]", data_dir=tmp_path / "data", as_supervised=True
    )
    pairs = list(tfds.as_numpy(dataset))
    assert len(pairs) == 10
    images, label = pairs[0]
    assert images.shape[1:] == (16, 16, 3) and 0 <= label < 5


def test_builder_can_be_pickled():
    builder = cdisc_tfds.Builder(num_processes=3, keep_going=True)
    copy = pickle.loads(pickle.dumps(builder))
    assert copy._options == builder._options
    assert (copy._options.num_processes, copy._options.keep_going) == (3, True)


def test_a_line_break_in_a_name_moves_no_other_name(tmp_path, competition):
    """As TFDS reads the names back: one for each label, in order."""
    text = CATEGORY_NAMES.replace("MAISON,CUISINE,TASSE", '"MAISON\n  ET",CUISINE,TASSE')
    (competition / "category_names.csv").write_text(text)
    build(tmp_path / "data", competition)
    info = cdisc_tfds.Builder(data_dir=tmp_path / "data").info
    assert info.features["level1"].names == ["MAISON ET", "MAISON", "SPORT"]
    assert info.features["level2"].names[0] == "MAISON ET > CUISINE"


def test_names_that_differ_by_an_edge_space(tmp_path, competition):
    text = CATEGORY_NAMES.replace("SPORT,BALLE", "SPORT ,BALLE")
    (competition / "category_names.csv").write_text(text)
    build(tmp_path / "data", competition)
    info = cdisc_tfds.Builder(data_dir=tmp_path / "data").info
    assert info.features["level1"].names == ["MAISON", "SPORT", "SPORT (2)"]


# Missing and wrong files.


def test_missing_files_are_named(tmp_path, competition):
    (competition / "train.bson").unlink()
    (competition / "category_names.csv").unlink()
    with pytest.raises(ManualFilesError) as caught:
        build(tmp_path / "data", competition)
    message = str(caught.value)
    assert f"    {competition}/category_names.csv\n    {competition}/train.bson\n" in message
    assert "test.bson\nmanual_dir" not in message  # it is there
    assert "kaggle competitions download -c cdiscount-image-classification-challenge" in message
    assert "--manual_dir" in message
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


def test_an_example_beside_test_does_not_stand_in_for_train(tmp_path, competition):
    (competition / "train.bson").rename(competition / "train_example.bson")
    with pytest.raises(ManualFilesError, match=r"manual/train\.bson"):
        build(tmp_path / "data", competition)


def test_test_split_can_be_left_out_on_purpose_only(tmp_path, competition, monkeypatch):
    (competition / "test.bson").unlink()
    with pytest.raises(ManualFilesError, match=r"manual/test\.bson[\s\S]*CDISCOUNT_TRAIN_ONLY=1"):
        build(tmp_path / "data", competition)
    builder = build(tmp_path / "data", competition, train_only=True)
    assert set(builder.info.splits) == {"train"}
    monkeypatch.setenv("CDISCOUNT_TRAIN_ONLY", "1")
    assert set(build(tmp_path / "other", competition).info.splits) == {"train"}


# The commands, as a user types them.


def run(*command, cwd, **env):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **env}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("arguments", [(), ("--imports=cdisc_tfds",)])
def test_tfds_build(tmp_path, competition, arguments):
    """`tfds build cdiscount` in the repository, and with --imports anywhere."""
    tfds_command = pathlib.Path(sys.executable).with_name("tfds")
    result = run(
        tfds_command,
        "build",
        "cdiscount",
        *arguments,
        f"--manual_dir={competition}",
        f"--data_dir={tmp_path / 'data'}",
        cwd=tmp_path if arguments else ROOT,
    )
    assert result.returncode == 0, result.stderr
    info = tfds.builder_from_directory(tmp_path / "data" / "cdiscount" / "1.0.0").info
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 20,
        "test": 6,
    }
    loaded = tfds.load("cdiscount", split="test", data_dir=tmp_path / "data")
    assert isinstance(loaded, tf.data.Dataset)
    assert np.array_equal(
        sorted(int(product["product_id"]) for product in loaded), [1, 4, 7, 10, 13, 16]
    )
