"""The parallel build against TFDS's own writer, whatever the processes, parts and interruptions."""

import json
import os
import pathlib

import bson
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.build import (
    dataset_build,
    merged_shards,
    part_sequence,
    part_table,
    shard_writing,
    sorted_parts,
    split_job,
)
from cdisc_tfds.build.source_file import ChangedFileError
from cdisc_tfds.build.split_build import BuildError
from cdisc_tfds.joined_files import JoinedFiles
from cdisc_tfds.product_index import ProductIndex
from tests.cdisc_tfds.test_dataset_builder import build
from tests.conftest import CATEGORY_IDS, jpeg, product, write_bson


@pytest.fixture(autouse=True, params=["reread", "merged"])
def way(request, monkeypatch):
    """Every test twice: shards from the file itself, and from sorted copies of its parts."""
    monkeypatch.setenv("CDISCOUNT_REREAD", str(int(request.param == "reread")))
    return request.param


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of about three products and pieces of about two, so that tiny files have many."""
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 3000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 3000)
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 1500)


def raw_records(builder):
    """{shard's file name: its records as bytes}."""
    return {
        path.name: [record.numpy() for record in tf.data.TFRecordDataset(os.fspath(path))]
        for path in sorted(pathlib.Path(builder.data_dir).glob("*.tfrecord*"))
    }


def files(builder):
    """Everything in the data set's folder, by name."""
    return {
        path.name: path.read_bytes() for path in sorted(pathlib.Path(builder.data_dir).iterdir())
    }


def assert_same_data_set(ours, stock):
    """The same records in the same order in the same shards, and the same files beside them."""
    left, right = raw_records(ours), raw_records(stock)
    assert list(left) == list(right)
    for name in left:
        # Compared as messages: the order of a protobuf map's entries is not defined.
        assert [tf.train.Example.FromString(record) for record in left[name]] == [
            tf.train.Example.FromString(record) for record in right[name]
        ]
    beside = [
        {name: content for name, content in files(builder).items() if "tfrecord" not in name}
        for builder in (ours, stock)
    ]
    assert beside[0] == beside[1]


@pytest.fixture
def odd_competition(competition):
    """With every kind of thing that is set aside, duplicates far apart, and an empty product."""
    bad = {"picture": b"no picture"}
    train = bson.decode_all((competition / "train.bson").read_bytes())
    train[4]["imgs"].insert(0, bad)
    train[5] = {"_id": 1, "category_id": CATEGORY_IDS[0], "imgs": [bad]}
    train[6]["category_id"] = 5
    train += [{**train[2], "imgs": [{"picture": jpeg(99)}]}, product(8, CATEGORY_IDS[1]), train[2]]
    test = bson.decode_all((competition / "test.bson").read_bytes())
    test += [{"_id": 900, "imgs": [bad]}, test[0]]
    write_bson(competition / "train.bson", train)
    write_bson(competition / "test.bson", test)
    return competition


@pytest.mark.parametrize(
    "config",
    [{}, {"num_shards": 3}, {"min_shard_size": 4096, "max_shard_size": 8192}],
    ids=["one shard", "three shards", "by size"],
)
def test_equal_to_the_stock_writer(tmp_path, odd_competition, small_parts, config):
    ours = build(tmp_path / "ours", odd_competition, config=config, num_processes=1)
    stock = build(tmp_path / "stock", odd_competition, config=config, stock_writer=True)
    assert_same_data_set(ours, stock)
    assert ours.info.metadata["rejected"] == {
        "train": {"picture": 1, "product": 4, "bytes": 0},
        "test": {"picture": 1, "product": 1, "bytes": 0},
    }


@pytest.mark.parametrize("limit", [1, 5, 18, 19, 20, 1000])
def test_first_products_equal_to_the_stock_writer(tmp_path, odd_competition, small_parts, limit):
    ours = build(tmp_path / "ours", odd_competition, max_examples=limit)
    stock = build(tmp_path / "stock", odd_competition, max_examples=limit, stock_writer=True)
    assert ours.info.splits["train"].num_examples == min(limit, 19)
    assert_same_data_set(ours, stock)


def test_the_same_bytes_whatever_the_processes_and_parts(
    tmp_path, odd_competition, monkeypatch, way
):
    results = []
    for number, (processes, part_bytes) in enumerate([(1, 1 << 20), (1, 700), (2, 3000)]):
        monkeypatch.setattr(split_job, "MIN_PART_BYTES", part_bytes)
        monkeypatch.setattr("cdisc_tfds.build.dataset_build.MIN_PART_BYTES", part_bytes)
        monkeypatch.setattr(split_job, "MAX_PART_BYTES", part_bytes)
        data_dir = tmp_path / str(number)
        results.append(
            files(
                build(data_dir, odd_competition, num_processes=processes, config={"num_shards": 4})
            )
        )
    monkeypatch.setenv("CDISCOUNT_REREAD", str(int(way == "merged")))  # and the other way
    results.append(files(build(tmp_path / "other", odd_competition, config={"num_shards": 4})))
    assert all(result == results[0] for result in results[1:])


def test_grocery_pictures_are_the_same_bytes(tmp_path, grocery_files):
    builder = build(tmp_path, grocery_files)
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert counts == {"train": 1643, "test": 1415}
    for split in counts:
        documents = bson.decode_all((grocery_files / f"{split}.bson").read_bytes())
        expected = {
            document["_id"]: [entry["picture"] for entry in document["imgs"]]
            for document in documents
        }
        for record in sum(
            (records for name, records in raw_records(builder).items() if split in name), []
        ):
            features = tf.train.Example.FromString(record).features.feature
            product_id = features["product_id"].int64_list.value[0]
            assert list(features["images"].bytes_list.value) == expected.pop(product_id)
        assert not expected


def test_other_file_formats_are_left_to_tfds(tmp_path, competition):
    builder = build(tmp_path / "data", competition, file_format="array_record")
    assert list(pathlib.Path(builder.data_dir).glob("*.array_record*"))
    index = ProductIndex.load(ProductIndex.path_in(builder.data_dir, "train"))
    assert sorted(index.product_id.tolist()) == list(range(0, 60, 3))


# Where parts start.


def decoy(number):
    """A picture that holds three documents: bytes that look like the start of something."""
    inner = b"".join(bson.encode({"_id": 70 + i, "imgs": []}) for i in range(3))
    return {
        "_id": number,
        "category_id": CATEGORY_IDS[0],
        "imgs": [{"picture": jpeg() + inner * 8}],
    }


def test_a_false_start_is_found_out(tmp_path, competition, monkeypatch):
    write_bson(competition / "train.bson", [decoy(number) for number in range(8)])
    for part_bytes in range(150, 1500, 97):
        monkeypatch.setattr(split_job, "MIN_PART_BYTES", part_bytes)
        monkeypatch.setattr(split_job, "MAX_PART_BYTES", part_bytes)
        builder = build(tmp_path / str(part_bytes), competition)
        index = ProductIndex.load(ProductIndex.path_in(builder.data_dir, "train"))
        assert sorted(index.product_id.tolist()) == list(range(8))


def test_a_document_longer_than_several_parts(tmp_path, competition, monkeypatch):
    documents = [product(number, CATEGORY_IDS[0]) for number in range(6)]
    documents[2]["note"] = "x" * 9000
    write_bson(competition / "train.bson", documents)
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 1000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 1000)
    builder = build(tmp_path / "data", competition)
    assert builder.info.splits["train"].num_examples == 6


# Damage and interruptions.


def test_damage_stops_the_build_with_its_place(tmp_path, competition, small_parts):
    path = competition / "train.bson"
    data = bytearray(path.read_bytes())
    offsets = [0]
    while offsets[-1] < len(data):
        offsets.append(offsets[-1] + int.from_bytes(data[offsets[-1] : offsets[-1] + 4], "little"))
    data[offsets[13] : offsets[13] + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BsonError) as caught:
        build(tmp_path / "data", competition)
    assert str(caught.value) == (
        f"{path}: document 13 at byte {offsets[13]} is damaged. Expected: a length from 5 to the "
        f"{len(data) - offsets[13]} bytes that are left of the file. Received: a length of "
        "1073741824 (is the file truncated?)."
    )
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


def test_keep_going_skips_damage_and_lists_it(tmp_path, competition, small_parts):
    path = competition / "train.bson"
    data = bytearray(path.read_bytes())
    second = int.from_bytes(data[:4], "little")
    third = second + int.from_bytes(data[second : second + 4], "little")
    data[second : second + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data[:-40])  # and truncated
    ours = build(tmp_path / "ours", competition, keep_going=True)
    stock = build(tmp_path / "stock", competition, keep_going=True, stock_writer=True)
    assert_same_data_set(ours, stock)
    assert ours.info.splits["train"].num_examples == 18
    assert ours.info.metadata["rejected"]["train"] == {"picture": 0, "product": 0, "bytes": 2}
    lines = (pathlib.Path(ours.data_dir) / "rejected.jsonl").read_text().splitlines()
    first, last = map(json.loads, lines)
    assert first == {
        "split": "train",
        "file": "train.bson",
        "kind": "bytes",
        "document": 1,
        "offset": second,
        "product": None,
        "picture": None,
        "reason": f"{third - second} bytes skipped: expected a length from 5 to the "
        f"{len(data) - 40 - second} bytes that are left of the file, received a length of -1",
    }
    assert last["document"] == 19 and "(is the file truncated?)" in last["reason"]


class Killed(BaseException):
    """Stands in for a process that is gone: nothing of ours may catch it."""


MAKERS = {"make_part": part_sequence, "write_shard": shard_writing}


@pytest.mark.parametrize("function", MAKERS)
@pytest.mark.parametrize("calls", [0, 1, 3])
def test_an_interrupted_build_goes_on(
    tmp_path, odd_competition, small_parts, monkeypatch, function, calls
):
    """Stopped after some parts or shards, it makes the others only, and the same data set."""
    config = {"num_shards": 4}
    expected = files(build(tmp_path / "undisturbed", odd_competition, config=config))
    module = MAKERS[function]
    original = getattr(module, function)
    done = []

    def stops(task):
        if len(done) == calls:
            raise Killed
        done.append(task)
        return original(task)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, stops)
        with pytest.raises(Killed):
            build(tmp_path / "data", odd_competition, config=config)
    folder = tmp_path / "data" / "cdiscount"
    assert not (folder / "1.0.0").exists()
    assert (folder / "1.0.0.building").exists()

    again = []
    monkeypatch.setattr(module, function, lambda task: again.append(task) or original(task))
    builder = build(tmp_path / "data", odd_competition, config=config)
    assert files(builder) == expected
    finished = {(task.table if calls and function == "make_part" else None) for task in done}
    assert not finished & {getattr(task, "table", 0) for task in again}
    assert [path.name for path in folder.iterdir()] == ["1.0.0"]  # nothing stays behind


def test_an_interrupted_build_goes_on_as_it_was_begun(
    tmp_path, competition, small_parts, monkeypatch, way
):
    """Unless the other way is asked for, whatever memory is free meanwhile."""
    with monkeypatch.context() as patch:
        patch.setattr(shard_writing, "write_shard", lambda task: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            build(tmp_path / "data", competition, train_only=True)
    monkeypatch.delenv("CDISCOUNT_REREAD")
    monkeypatch.setattr(dataset_build, "stays_in_page_cache", lambda size: way == "merged")
    made = []
    monkeypatch.setattr(part_sequence, "make_part", lambda task: made.append(task))
    build(tmp_path / "data", competition, train_only=True)
    assert not made


@pytest.mark.parametrize("asked", [True, False])
def test_the_other_way_can_be_asked_for(tmp_path, competition, small_parts, monkeypatch, asked):
    tasks = []
    original = sorted_parts.make_part
    monkeypatch.setattr(
        part_sequence, "make_part", lambda task: tasks.append(task) or original(task)
    )
    build(tmp_path / "data", competition, reread=asked)
    assert tasks and all((task.records is None) == asked for task in tasks)


@pytest.mark.parametrize("module", [part_sequence, shard_writing])
@pytest.mark.parametrize("change", ["other bytes", "truncated", "replaced", "removed"])
def test_a_file_that_changes_meanwhile(tmp_path, competition, monkeypatch, module, change):
    """It stops the build, and is told instead of the damage that it may look like."""
    function = {part_sequence: "make_part", shard_writing: "write_shard"}[module]
    original = getattr(module, function)
    path = competition / "train.bson"

    def changed(task):
        if change == "removed":
            path.unlink()
        elif change == "truncated":
            os.truncate(path, path.stat().st_size - 100)
        elif change == "replaced":
            (competition / "new.bson").write_bytes(path.read_bytes())
            os.replace(competition / "new.bson", path)
        else:
            with open(path, "r+b") as file:
                file.seek(2000)
                file.write(bytes(500))
        return original(task)

    monkeypatch.setattr(module, function, changed)
    with pytest.raises(
        ChangedFileError,
        match=r"train.bson must not change while a data set is built from it. It had 33,558 bytes "
        r"when the build began. Received: (33,458 bytes|new contents|no file). Start the build",
    ):
        build(tmp_path / "data", competition, train_only=True)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


def test_another_input_is_not_continued(tmp_path, competition, small_parts, monkeypatch):
    """What was finished of a file that has changed since is thrown away."""
    with monkeypatch.context() as patch:
        patch.setattr(shard_writing, "write_shard", lambda task: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            build(tmp_path / "data", competition)
    documents = [product(number, CATEGORY_IDS[0]) for number in range(100, 107)]
    write_bson(competition / "train.bson", documents)
    builder = build(tmp_path / "data", competition)
    index = ProductIndex.load(ProductIndex.path_in(builder.data_dir, "train"))
    assert sorted(index.product_id.tolist()) == list(range(100, 107))


def test_parts_are_cut_while_shards_are_written(
    tmp_path, competition, small_parts, monkeypatch, way
):
    """The disk need not hold the records twice."""
    sizes = []

    def spy(task):
        folder = pathlib.Path(task.path).parent
        sizes.append(sum(path.stat().st_size for path in folder.glob("part-*.records")))
        return task.write()

    monkeypatch.setattr(shard_writing, "write_shard", spy)
    build(tmp_path / "data", competition, config={"num_shards": 6}, train_only=True)
    assert len(sizes) == 6
    if way == "reread":
        assert not any(sizes)
        return
    assert sizes == sorted(sizes, reverse=True)
    # Two may be under way besides the one that is begun: three of the six have been cut off.
    assert sizes[-1] < 0.6 * sizes[0]


def test_a_file_without_usable_products(tmp_path, competition):
    write_bson(competition / "train.bson", [product(1, 12345)])
    with pytest.raises(BuildError, match=r"must have products.*none of whose 1 documents can be"):
        build(tmp_path / "data", competition, keep_going=True)
    with pytest.raises(ValueError, match="1 documents at its start, none of which can be used"):
        build(tmp_path / "data", competition)


def test_order_is_the_md5_of_split_and_id(tmp_path):
    """The rule of TFDS's `core/hashing.py`, by values: it decides what a sub-split holds."""
    hasher = tfds.core.hashing.Hasher("train")
    ids = list(range(-5, 200)) + [2**31, 2**40]
    (tmp_path / "category_names.csv").write_text(
        "category_id,category_level1,category_level2,category_level3\n7,A,B,C\n"
    )
    documents = [{"_id": i, "imgs": [{"picture": jpeg()}], "category_id": 7} for i in ids]
    path = write_bson(tmp_path / "train.bson", documents)
    task = sorted_parts.PartTask(
        JoinedFiles.one(path),
        0,
        path.stat().st_size,
        "train",
        True,
        False,
        os.fspath(tmp_path / "category_names.csv"),
        os.fspath(tmp_path / "part.records"),
        os.fspath(tmp_path / "part.npz"),
    )
    sorted_parts.make_part(task)
    order = part_table.read_column(task.table, "product_id").tolist()
    assert order == sorted(ids, key=hasher.hash_key)
    high, low = (part_table.read_column(task.table, name) for name in ("key_high", "key_low"))
    assert [(int(h) << 64) + int(lo) for h, lo in zip(high, low)] == [
        hasher.hash_key(i) for i in order
    ]
    assert np.array_equal(part_table.read_column(task.table, "num_pictures"), [1] * len(ids))


@pytest.mark.parametrize("damaged", ["train", "test"])
def test_damage_in_one_split_ends_the_other_too(tmp_path, competition, monkeypatch, damaged):
    """Both are built at the same time; the damage is told, and what is finished is kept."""
    monkeypatch.setattr("cdisc_tfds.build.dataset_build.MIN_PART_BYTES", 3000)
    path = competition / f"{damaged}.bson"
    whole = path.read_bytes()
    second = int.from_bytes(whole[:4], "little")
    path.write_bytes(whole[:second] + b"\1\0\0\0" + whole[second + 4 :])
    with pytest.raises(BsonError, match=f"{damaged}.bson: document 1 at byte {second} is damaged"):
        build(tmp_path / "data", competition, num_processes=2)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()
    path.write_bytes(whole)
    rebuilt = build(tmp_path / "data", competition, num_processes=2)
    assert files(rebuilt) == files(build(tmp_path / "other", competition, num_processes=1))
