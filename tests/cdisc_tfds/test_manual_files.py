"""Which files make which splits."""

import pytest

from cdisc_tfds.manual_files import ManualFilesError, find_sources


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def splits(folder, **kwargs):
    csv_path, sources = find_sources(folder, **kwargs)
    assert csv_path == f"{folder}/category_names.csv"
    return [
        (split, *(path.removeprefix(f"{folder}/") for path in paths), labelled)
        for split, paths, labelled in sources
    ]


def test_the_competition(tmp_path):
    touch(tmp_path, "train.bson", "test.bson", "train_example.bson", "category_names.csv")
    assert splits(tmp_path) == [("train", "train.bson", True), ("test", "test.bson", False)]
    assert splits(tmp_path, train_only=True) == [("train", "train.bson", True)]


def test_the_example(tmp_path):
    touch(tmp_path, "train_example.bson", "category_names.csv")
    assert splits(tmp_path) == [("train", "train_example.bson", True)]


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ([], ["category_names.csv", "train.bson", "test.bson"]),
        (["train.bson"], ["category_names.csv", "test.bson"]),
        (["test.bson", "train_example.bson", "category_names.csv"], ["train.bson"]),
        (["train.bson", "category_names.csv"], ["test.bson"]),
        (["train_example.bson"], ["category_names.csv"]),
    ],
)
def test_missing_files(tmp_path, present, missing):
    touch(tmp_path, *present)
    with pytest.raises(ManualFilesError) as caught:
        find_sources(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The data set is made from files that you download yourself. Missing:"
    assert lines[1 : 1 + len(missing)] == [f"    {tmp_path}/{name}" for name in missing]
    assert lines[1 + len(missing)].startswith("manual_dir must hold")
    assert "    kaggle competitions download -c cdiscount-image-classification-challenge" in lines
    assert ("CDISCOUNT_TRAIN_ONLY=1" in str(caught.value)) == (missing == ["test.bson"])
