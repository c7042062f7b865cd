"""Input files on a storage are copied once, and go on where a copy stopped."""

import types

import pytest

from cdisc_tfds.build import fetched_inputs
from cdisc_tfds.build.fetched_inputs import FetchError, fetched
from cdisc_tfds.build.folder import DiskFullError


@pytest.fixture
def manual_dir(ram):
    for name in ("category_names.csv", "train.bson", "test.bson.gz", "other.txt"):
        (ram / name).write_bytes(name.encode() * 10)
    return ram


def test_the_files_of_the_build_alone_are_copied(manual_dir, tmp_path):
    folder = fetched(manual_dir, tmp_path / "inputs")
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert there == {"category_names.csv", "train.bson", "test.bson.gz"}
    for name in there:
        assert (folder / name).read_bytes() == (manual_dir / name).read_bytes()
        assert (folder / name).stat().st_mtime_ns == (manual_dir / name).stat().st_mtime_ns


def test_a_copy_goes_on_where_it_stopped(manual_dir, tmp_path):
    folder = fetched(manual_dir, tmp_path / "inputs")
    (folder / "train.bson").write_bytes(b"TRAIN")  # as if that much had arrived
    fetched(manual_dir, folder)
    assert (folder / "train.bson").read_bytes() == b"TRAIN" + (b"train.bson" * 10)[5:]


def test_a_file_that_was_removed_since_is_no_input(manual_dir, tmp_path):
    folder = fetched(manual_dir, tmp_path / "inputs")
    (manual_dir / "train.bson").unlink()
    fetched(manual_dir, folder)
    assert not (folder / "train.bson").exists() and (folder / "test.bson.gz").exists()


def test_another_file_is_copied_from_its_beginning(manual_dir, tmp_path):
    folder = fetched(manual_dir, tmp_path / "inputs")
    (manual_dir / "train.bson").write_bytes(b"a new one, and longer" * 10)
    fetched(manual_dir, folder)
    assert (folder / "train.bson").read_bytes() == b"a new one, and longer" * 10


def test_a_file_that_changes_meanwhile_is_an_error(manual_dir, tmp_path, monkeypatch):
    class Line(fetched_inputs.ProgressLine):
        def update(self, done, text=""):
            with (manual_dir / "train.bson").open("ab") as file:
                file.write(b"more")

    monkeypatch.setattr(fetched_inputs, "ProgressLine", Line)
    with pytest.raises(FetchError, match="train.bson must not change while a data set is built"):
        fetched(manual_dir, tmp_path / "inputs")


def test_there_must_be_room(manual_dir, tmp_path, monkeypatch):
    usage = types.SimpleNamespace(free=3)
    monkeypatch.setattr(fetched_inputs.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(DiskFullError, match=r"They need 0.0 GB more there. Received: 0.0 GB"):
        fetched(manual_dir, tmp_path / "inputs")
