"""A data set is not taken for one of other files or options."""

import os

import bson
import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.build import part_sequence
from cdisc_tfds.build.identity import OtherSourcesError
from tests.conftest import CATEGORY_NAMES, product


def build(data_dir, manual_dir, **options):
    builder = cdisc_tfds.Builder(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, **options)
    builder.download_and_prepare(download_config=config)
    return builder


def labels(builder):
    """{product id: category id}"""
    decoders = {"images": tfds.decode.SkipDecoding()}
    records = tfds.as_numpy(builder.as_dataset(split="train", decoders=decoders))
    names = builder.info.features["category"].names
    return {int(record["product_id"]): names[record["category"]] for record in records}


def _appended(manual_dir):
    with open(manual_dir / "train.bson", "ab") as file:
        file.write(bson.encode(product(9000, 1000000010)))


def _reordered(manual_dir):
    header, *rows = CATEGORY_NAMES.splitlines()
    (manual_dir / "category_names.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        (_appended, {}, r"split train: from train.bson \(33,558 bytes\); now train.bson \(3"),
        (_reordered, {}, "category_names.csv: other contents"),
        (lambda folder: None, {"max_examples_per_split": 5}, "products a split: all; now at most"),
    ],
    ids=["more products", "other categories", "a limit"],
)
def test_the_same_command_after_a_change_says_so(tmp_path, competition, change, options, text):
    built = build(tmp_path / "data", competition)
    before = {path.name: path.read_bytes() for path in built.data_path.iterdir()}
    change(competition)
    with pytest.raises(OtherSourcesError, match=text) as error:
        build(tmp_path / "data", competition, **options)
    assert "add --overwrite" in str(error.value)
    assert {path.name: path.read_bytes() for path in built.data_path.iterdir()} == before


def test_the_same_files_are_the_same_data_set(tmp_path, competition):
    build(tmp_path / "data", competition)
    os.utime(competition / "train.bson")
    assert build(tmp_path / "data", competition).info.splits["train"].num_examples == 20


def test_overwriting_builds_it_again(tmp_path, competition):
    build(tmp_path / "data", competition)
    _appended(competition)
    mode = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
    again = build(tmp_path / "data", competition, download_mode=mode)
    assert again.info.splits["train"].num_examples == 21


def test_categories_that_change_during_the_build_change_no_label(
    tmp_path, competition, monkeypatch
):
    expected = labels(build(tmp_path / "undisturbed", competition))
    original = part_sequence.make_part

    def reorder(task):
        _reordered(competition)
        return original(task)

    monkeypatch.setattr(part_sequence, "make_part", reorder)
    try:
        found = labels(build(tmp_path / "data", competition))
    except ValueError as error:
        assert "category_names.csv" in str(error)
        assert not (tmp_path / "data" / "cdiscount" / "1.0.0").exists()
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("train.bson", b"<html>Sign in</html>", "Received: an HTML page"),
        ("train.bson", None, "Missing:"),
        ("category_names.csv", b"", "The first line of .* must be category_id"),
    ],
)
def test_overwrite_keeps_the_data_set_if_the_files_are_unusable(
    tmp_path, competition, name, content, text
):
    """TFDS would delete it first."""
    built = build(tmp_path / "data", competition)
    before = {path.name: path.read_bytes() for path in built.data_path.iterdir()}
    (competition / name).unlink() if content is None else (competition / name).write_bytes(content)
    mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS
    with pytest.raises((ValueError, OSError), match=text):
        build(tmp_path / "data", competition, download_mode=mode)
    assert {path.name: path.read_bytes() for path in built.data_path.iterdir()} == before
