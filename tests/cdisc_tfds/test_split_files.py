"""Which files hold a split, and in which order they are read."""

import os

import pytest

from cdisc_tfds.manual_files import ManualFilesError, find_sources
from cdisc_tfds.split_files import SplitFilesError, split_files


def found(folder, *names):
    for name in names:
        (folder / name).touch()
    return [os.path.relpath(path, folder) for path in split_files(folder, "train")]


def test_one_file(tmp_path):
    assert found(tmp_path) == ["train.bson"]
    assert found(tmp_path, "train.bson", "test-1.bson", "train_example.bson") == ["train.bson"]


def test_numbers_are_compared_by_their_value(tmp_path):
    names = ["train-10.bson", "train-2.bson", "train-2b.bson", "train-02.bson", "train-a.bson"]
    in_order = ["train-02.bson", "train-2.bson", "train-2b.bson", "train-10.bson", "train-a.bson"]
    assert found(tmp_path, *names, "train-3.bson.part", "train-4.txt") == in_order


def test_a_packed_file_counts_where_the_plain_one_is_not_there(tmp_path):
    names = ["train-1.bson", "train-1.bson.gz", "train-2.bson.gz"]
    assert found(tmp_path, *names) == ["train-1.bson", "train-2.bson.gz"]


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_with_a_total(tmp_path, first):
    names = [f"train-{number:05d}-of-00012.bson" for number in range(first, first + 12)]
    assert found(tmp_path, *reversed(names)) == names


@pytest.mark.parametrize(
    ("names", "received"),
    [
        (
            ["train.bson.gz", "train-1.bson", "train-2.bson", "train-3.bson"],
            "in several, not in both. Received in {}: train.bson and train-1.bson and 2 more files",
        ),
        (["train-1-of-3.bson", "train-3-of-3.bson"], "{}: no train-2-of-3.bson. Complete them"),
        (["train-00001-of-00002.bson"], "{}: no train-00000-of-00002.bson. Complete"),
        (
            ["train-0001-of-9999.bson"],
            "{}: no train-0000-of-9999.bson, train-0002-of-9999.bson, train-0003-of-9999.bson, "
            "train-0004-of-9999.bson, train-0005-of-9999.bson and 9,993 more.",
        ),
        (["train-0-of-2.bson", "train-1-of-3.bson"], "{}: train-1-of-3.bson beside it"),
        (["train-0-of-2.bson", "train-1.bson"], "{}: train-1.bson beside it"),
        (["train-a-0-of-2.bson", "train-b-1-of-2.bson"], "{}: train-b-1-of-2.bson beside it"),
        (
            ["train-0-of-2.bson", "train-00-of-2.bson", "train-1-of-2.bson"],
            "{}: train-0-of-2.bson and train-00-of-2.bson, the same number",
        ),
        (
            ["train-0-of-2.bson", "train-1-of-2.bson", "train-2-of-2.bson"],
            "{}: train-2-of-2.bson, which would be one too many",
        ),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, names, received):
    with pytest.raises(SplitFilesError) as caught:
        found(tmp_path, *names)
    assert received.format(tmp_path) in str(caught.value)


def test_splits_in_several_files(tmp_path):
    for name in ("category_names.csv", "train-1.bson", "train-2.bson", "test.bson"):
        (tmp_path / name).touch()
    train, test = find_sources(tmp_path)[1]
    assert train.paths == (f"{tmp_path}/train-1.bson", f"{tmp_path}/train-2.bson")
    assert str(train) == f"{tmp_path}/train-1.bson and 1 more file"
    assert test.paths == (f"{tmp_path}/test.bson",)
    (tmp_path / "test-0-of-2.bson").touch()  # with test.bson, and without its other half
    assert find_sources(tmp_path, train_only=True)[1] == [train]
    with pytest.raises(SplitFilesError, match="test.bson and test-0-of-2.bson"):
        find_sources(tmp_path)


def test_a_link_to_nothing_is_a_missing_file(tmp_path):
    for name in ("category_names.csv", "train-1.bson"):
        (tmp_path / name).touch()
    (tmp_path / "train-2.bson").symlink_to("nowhere")
    with pytest.raises(ManualFilesError, match=r"Missing:\n    .*/train-2\.bson\nmanual_dir"):
        find_sources(tmp_path, train_only=True)
