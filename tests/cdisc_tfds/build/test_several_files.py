"""Products cut into several files give the data set of one file."""

import gzip
import json
import logging
import os
import pathlib

import bson
import pytest

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.build import merged_shards, part_sequence, shard_writing, split_job
from cdisc_tfds.build.identity import OtherSourcesError
from cdisc_tfds.build.source_file import ChangedFileError
from cdisc_tfds.split_files import SplitFilesError
from tests.cdisc_tfds.build.test_beam_build import HERE
from tests.cdisc_tfds.build.test_split_build import files, odd_competition
from tests.cdisc_tfds.test_dataset_builder import build
from tests.conftest import CATEGORY_IDS, product, write_bson

__all__ = ["odd_competition"]
THREE_SHARDS = {"num_shards": 3}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of about three products, which begin and end within files and between them."""
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 3000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 3000)
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 1500)


def cut(source, target, number, split="train"):
    """SPLIT.bson of the one folder as `number` files of the other; returns their paths."""
    target.mkdir(exist_ok=True)
    (target / "category_names.csv").write_bytes((source / "category_names.csv").read_bytes())
    documents = bson.decode_all((source / f"{split}.bson").read_bytes())
    ends = [len(documents) * one // number for one in range(number + 1)]
    return [
        write_bson(target / f"{split}-{place:05d}-of-{number:05d}.bson", documents[begin:end])
        for place, (begin, end) in enumerate(zip(ends, ends[1:]))
    ]


@pytest.fixture
def seven(odd_competition, tmp_path):
    """The odd competition in seven files, and nine of the test split: one of them is empty."""
    cut(odd_competition, tmp_path / "seven", 7)
    cut(odd_competition, tmp_path / "seven", 9, "test")
    assert any(not path.stat().st_size for path in (tmp_path / "seven").glob("test-*"))
    return tmp_path / "seven"


def as_one(folder, lines):
    """The lines of `rejected.jsonl` with file and offset as if the files lay end to end."""
    begins = {}
    for split in ("train", "test"):
        begin = 0
        for path in sorted(folder.glob(f"{split}-*.bson")):
            begins[path.name] = begin
            begin += path.stat().st_size
    found = []
    for line in map(json.loads, lines.splitlines()):
        line["offset"] += begins[line["file"]]
        found.append(line | {"file": f"{line['split']}.bson"})
    return found


def assert_equal(several, one, folder):
    """All files are equal, but for the places that the lists of rejected items name."""
    left, right = files(several), files(one)
    lines = left.pop("rejected.jsonl")
    assert as_one(folder, lines) == [
        json.loads(line) for line in right.pop("rejected.jsonl").splitlines()
    ]
    origins = []
    for found in (left, right):
        info = json.loads(found.pop("metadata.json"))
        origins.append(info.pop("origin"))
        found["metadata"] = info
    assert left == right
    names = [file["file"] for file in origins[0]["sources"]["train"]]
    assert names == [f"train-{number:05d}-of-00007.bson" for number in range(7)]
    sizes = [sum(file["bytes"] for file in one["sources"]["train"]) for one in origins]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("reread", [True, False])
def test_seven_files_give_what_one_gives(tmp_path, odd_competition, seven, reread, monkeypatch):
    """With every kind of rejected item, and duplicates in different files."""
    one = build(tmp_path / "one", odd_competition, config=THREE_SHARDS, reread=reread)
    several = build(tmp_path / "several", seven, config=THREE_SHARDS, reread=reread)
    assert_equal(several, one, seven)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 1 << 20)
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 1 << 20)
    larger = build(tmp_path / "larger", seven, config=THREE_SHARDS, reread=reread)
    assert files(larger) == files(several)


def test_on_beam(tmp_path, odd_competition, seven):
    there = build(tmp_path / "there", seven, config=HERE)
    assert_equal(there, build(tmp_path / "one", odd_competition, config=THREE_SHARDS), seven)


def test_the_first_products(tmp_path, odd_competition, seven):
    one = build(tmp_path / "one", odd_competition, config=THREE_SHARDS, max_examples=6)
    several = build(tmp_path / "several", seven, config=THREE_SHARDS, max_examples=6)
    assert_equal(several, one, seven)


def test_with_the_stock_writer(tmp_path, seven):
    """It lists the same places."""
    ours = build(tmp_path / "ours", seven)
    stock = build(tmp_path / "stock", seven, stock_writer=True)
    listed = files(ours)["rejected.jsonl"]
    assert listed and files(stock)["rejected.jsonl"] == listed
    assert stock.info.metadata == ours.info.metadata


def test_packed_files_among_them(tmp_path, seven):
    plain = build(tmp_path / "plain", seven)
    for path in sorted(seven.glob("train-*.bson"))[::2]:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = build(tmp_path / "packed", seven)
    left, right = files(packed), files(plain)
    assert left.pop("metadata.json") != right.pop("metadata.json")  # other origins
    assert left == right
    assert not (tmp_path / "packed" / "cdiscount" / "1.0.0.building").exists()


# Damage.


def test_keep_going_ends_a_damaged_stretch_at_the_files_end(tmp_path, competition):
    folder = tmp_path / "several"
    paths = cut(competition, folder, 4)
    sizes = [path.stat().st_size for path in paths]
    os.truncate(paths[1], sizes[1] - 20)
    data = bytearray(paths[2].read_bytes())
    data[:4] = b"\xff\xff\xff\xff"
    paths[2].write_bytes(data)
    built = build(tmp_path / "data", folder, keep_going=True, train_only=True)
    assert built.info.splits["train"].num_examples == 18
    cut_off, headless = map(json.loads, files(built)["rejected.jsonl"].splitlines())
    documents = bson.decode_all((competition / "train.bson").read_bytes())
    last, first = (len(bson.encode(documents[number])) for number in (9, 10))
    place = (cut_off["file"], cut_off["offset"], cut_off["document"])
    assert place == (paths[1].name, sizes[1] - last, 9)
    assert cut_off["reason"].startswith(f"{last - 20} bytes skipped: expected a length from 5 to")
    place = (headless["file"], headless["offset"], headless["document"])
    assert place == (paths[2].name, 0, 10)
    assert headless["reason"].startswith(f"{first} bytes skipped: ")
    stock = build(tmp_path / "stock", folder, keep_going=True, train_only=True, stock_writer=True)
    assert files(stock)["rejected.jsonl"] == files(built)["rejected.jsonl"]


def test_a_file_that_is_cut_short_is_named(tmp_path, competition):
    paths = cut(competition, tmp_path / "several", 4)
    os.truncate(paths[1], paths[1].stat().st_size - 20)
    with pytest.raises(BsonError, match=rf"{paths[1]}: a document at byte \d+ is damaged.*trunc"):
        build(tmp_path / "data", tmp_path / "several", train_only=True)


def test_empty_files(tmp_path, competition, caplog):
    """Some may be empty, and are told; all may not."""
    paths = cut(competition, tmp_path / "several", 4)
    one = build(tmp_path / "one", competition, train_only=True)
    write_bson(paths[0], bson.decode_all(paths[0].read_bytes() + paths[1].read_bytes()))
    paths[1].write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        built = build(tmp_path / "data", tmp_path / "several", train_only=True)
    assert built.info.metadata["digest"] == one.info.metadata["digest"]
    assert "1 of the 4 files of a split: empty, so without products. If they" in caplog.text
    assert str(paths[1]) in caplog.text
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(BsonError, match=r"Expected: at least one document. Received: an empty fi"):
        build(tmp_path / "other", tmp_path / "several", train_only=True)


def test_files_that_do_not_belong_together_are_refused(tmp_path, competition):
    paths = cut(competition, competition, 4)
    with pytest.raises(SplitFilesError, match="train.bson and train-00000-of-00004.bson and 3 mo"):
        build(tmp_path / "data", competition, train_only=True)
    (competition / "train.bson").unlink()
    paths[2].unlink()
    with pytest.raises(SplitFilesError, match="no train-00002-of-00004.bson"):
        build(tmp_path / "data", competition, train_only=True)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


# Changes.


@pytest.mark.parametrize("module", [part_sequence, shard_writing])
@pytest.mark.parametrize("change", ["cut short", "replaced", "removed"])
def test_a_file_that_changes_meanwhile(tmp_path, competition, monkeypatch, module, change):
    paths = cut(competition, tmp_path / "several", 4)
    function = {part_sequence: "make_part", shard_writing: "write_shard"}[module]
    original = getattr(module, function)

    def changed(task):
        if change == "removed":
            paths[2].unlink(missing_ok=True)
        elif change == "replaced":
            (tmp_path / "new").write_bytes(paths[2].read_bytes())
            os.replace(tmp_path / "new", paths[2])
        else:
            os.truncate(paths[2], 100)
        return original(task)

    monkeypatch.setattr(module, function, changed)
    received = {"removed": "no file", "replaced": "new contents", "cut short": "100 bytes"}[change]
    with pytest.raises(ChangedFileError, match=rf"00002-of-00004.bson must .*ed: {received}\. St"):
        build(tmp_path / "data", tmp_path / "several", train_only=True)
    assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()


class Killed(BaseException):
    """Ends a build as a kill does: nothing is cleaned up."""


@pytest.mark.parametrize("change", ["replaced", "one more", "nothing"])
def test_what_is_finished_counts_only_for_the_same_files(
    tmp_path, competition, monkeypatch, change
):
    folder = tmp_path / "several"
    paths = cut(competition, folder, 4)
    with monkeypatch.context() as patch:
        patch.setattr(shard_writing, "write_shard", lambda task: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            build(tmp_path / "data", folder, train_only=True)
    number = 20
    if change == "replaced":
        number = 16
        write_bson(paths[3], [product(900, CATEGORY_IDS[0])])
    elif change == "one more":
        number = 21
        for path in paths:
            path.rename(folder / path.name.replace("4.bson", "5.bson"))
        write_bson(folder / "train-00004-of-00005.bson", [product(900, CATEGORY_IDS[0])])
    made = []
    original = part_sequence.make_part
    monkeypatch.setattr(
        part_sequence, "make_part", lambda task: made.append(task) or original(task)
    )
    built = build(tmp_path / "data", folder, train_only=True)
    assert built.info.splits["train"].num_examples == number
    assert bool(made) == (change != "nothing")


def test_a_data_set_knows_all_its_files(tmp_path, competition):
    folder = tmp_path / "several"
    paths = cut(competition, folder, 4)
    build(tmp_path / "data", folder, train_only=True)
    before = paths[1].read_bytes()
    paths[1].rename(folder / "x")
    (folder / "x").rename(paths[1])
    build(tmp_path / "data", folder, train_only=True)  # the same contents
    paths[1].write_bytes(before[:-1] + b"x")
    with pytest.raises(
        OtherSourcesError,
        match=r"split train: from train-00000-of-00004.bson and 3 more files \(33,558 bytes\); now "
        r"train-00001-of-00004.bson has the same size, other contents",
    ):
        build(tmp_path / "data", folder, train_only=True)
    write_bson(paths[1], [product(900, CATEGORY_IDS[0])])
    with pytest.raises(OtherSourcesError, match=r"now train-00001-of-00004.bson \(\d+ bytes\)"):
        build(tmp_path / "data", folder, train_only=True)
    for path in paths[1:]:
        path.unlink()
    paths[0].rename(folder / "train.bson")
    with pytest.raises(OtherSourcesError, match=r"now train.bson \([\d,]+ bytes\)"):
        build(tmp_path / "data", folder, train_only=True)


def test_a_data_set_of_an_earlier_version(tmp_path, competition):
    """Its metadata has the one file of a split, not a list of files."""
    built = build(tmp_path / "data", competition, train_only=True)
    path = pathlib.Path(built.data_dir) / "metadata.json"
    metadata = json.loads(path.read_text())
    (metadata["origin"]["sources"]["train"],) = metadata["origin"]["sources"]["train"]
    path.write_text(json.dumps(metadata))
    again = build(tmp_path / "data", competition, train_only=True)
    assert again.info.splits["train"].num_examples == 20
    with open(competition / "train.bson", "ab") as file:
        file.write(bson.encode(product(9000, CATEGORY_IDS[0])))
    with pytest.raises(
        OtherSourcesError, match=r"from train.bson \(33,558 bytes\); now train.bson"
    ):
        build(tmp_path / "data", competition, train_only=True)
