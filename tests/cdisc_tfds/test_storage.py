"""Text of users as paths, and files that move between disks and storages."""

import pathlib

import pytest
import tensorflow as tf

from cdisc_tfds.file_lock import locked
from cdisc_tfds.local_path import PathError
from cdisc_tfds.remote_path import RemotePath
from cdisc_tfds.storage import (
    can_write_to,
    copy_file,
    copy_tree,
    joined,
    local_copy,
    path_of,
    real_path,
    relative_path,
    storage_path,
)
from cdisc_tfds.whole_files import can_create, whole_file, whole_folder


def test_text_of_users(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert storage_path("~/d", "it") == "/home/me/d"
    assert storage_path("gs://b/~x", "it") == "gs://b/~x"
    assert type(path_of("/d/e")) is type(pathlib.Path())
    assert path_of("ram://b/d/../e") == RemotePath("ram://b/e")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file:///d", "--it must be a path without file://. Received: file:///d"),
        ("gs:/b/d", "--it must be a path, or an address such as gs://BUCKET/FOLDER. Received: gs:"),
        ("gs://", "--it must be a path, or an address such as gs://BUCKET/FOLDER. Received: gs:"),
    ],
)
def test_addresses_that_name_no_place(text, message):
    with pytest.raises(PathError, match=message):
        storage_path(text, "--it")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s3://b/d", "Received: s3://. `pip install tensorflow-io` adds s3:// if it has a"),
        ("hdfs://h/d", ".* adds hdfs:// if it has a release for TensorFlow 2.* Otherwise mount"),
        ("gcs://b/d", "Received: gcs://. Check the spelling, or mount the storage, and give"),
    ],
)
def test_storages_that_tensorflow_does_not_reach(text, message):
    with pytest.raises(PathError, match=f"gs:// is built in. {message}"):
        path_of(text)


def test_ways_between_folders(tmp_path):
    here, there = tmp_path / "runs" / "fused", tmp_path / "runs" / "a"
    assert relative_path(there, here) == "../a"
    assert joined(here, "../a").resolve() == there
    fused = RemotePath("ram://b/runs/fused")
    assert relative_path("ram://b/runs/a", fused) == "../a"
    assert joined(fused, "../a") == RemotePath("ram://b/runs/a")
    for place, start in (
        ("ram://other/runs/a", fused),
        (str(there), fused),
        ("ram://b/runs/a", here),
    ):
        assert relative_path(place, start) == place
        assert joined(start, place) == path_of(place)
    assert real_path("ram://b/x/../runs") == "ram://b/runs"


def test_a_file_is_whole_or_not_there(storage):
    path = storage / "state.json"
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write("first")
        assert not path.exists()
    with pytest.raises(KeyError), whole_file(path) as file:
        file.write(b"second")
        raise KeyError

    def refuse():
        raise ValueError

    with pytest.raises(ValueError), whole_file(path, before_rename=refuse) as file:
        file.write(b"third")
    assert path.read_bytes() == b"first"
    assert [one.name for one in storage.iterdir()] == ["state.json"]


def test_half_a_copy_is_an_error(storage, monkeypatch, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    write = tf.io.gfile.GFile.write
    monkeypatch.setattr(tf.io.gfile.GFile, "write", lambda self, data: write(self, data[:2]))
    with pytest.raises(OSError, match="a must have the 5 bytes of .*Received: 2"):
        copy_file(tmp_path / "a", storage / "a")


def test_the_last_file_of_a_folder_comes_last(storage, tmp_path, monkeypatch):
    for name in ("a_manifest", "b", "inner/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    copied = []

    def copy(source, target):
        copied.append(target.relative_to(storage).as_posix())
        copy_file(source, target)

    monkeypatch.setattr("cdisc_tfds.storage.copy_file", copy)
    copy_tree(tmp_path, storage / "t", last="a_manifest")
    assert copied == ["t/b", "t/inner/c", "t/a_manifest"]
    assert (storage / "t" / "inner" / "c").read_text() == "inner/c"


def test_a_folder_is_whole_or_not_there(storage, tmp_path):
    for place in (storage / "model", tmp_path / "new" / "model"):
        with pytest.raises(KeyError), whole_folder(place, last="m") as folder:
            (folder / "whole").mkdir()
            raise KeyError
        assert not place.exists()
        with whole_folder(place, last="m") as folder:
            (folder / "whole").mkdir()
            (folder / "whole" / "m").write_bytes(b"m")
        assert (place / "m").read_bytes() == b"m"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


def test_copies_for_libraries_that_read_disks(storage, tmp_path):
    (storage / "a.h5").write_bytes(b"abc")
    with local_copy(storage / "a.h5") as copy:
        assert copy.read_bytes() == b"abc" and copy.name == "a.h5"
    assert not copy.exists()
    with local_copy(tmp_path) as same:
        assert same is tmp_path


def test_what_can_be_written_to(storage, tmp_path):
    assert can_write_to(storage / "new" / "folder") and can_create(storage / "new" / "file")
    assert list(storage.rglob("*.partial")) == []
    assert can_write_to(tmp_path) and not can_write_to(tmp_path / "none")


def test_a_bucket_that_refuses_is_named(bucket, object_store, monkeypatch):
    monkeypatch.setattr(object_store, "refuses", True)
    with pytest.raises(PermissionError, match="The storage refuses access: ") as error:
        can_create(bucket / "new" / "file")
    assert str(bucket) in str(error.value)


def test_an_object_appears_when_all_of_it_has_arrived(bucket, object_store, monkeypatch):
    with (bucket / "a").open("wb") as file:
        file.write(bytes(3 << 20))
        assert not (bucket / "a").exists()
    assert (bucket / "a").stat().st_size == 3 << 20
    seen = []

    def look(name):
        seen.append(len(object_store.objects[name][0]))

    monkeypatch.setattr(object_store, "before_write", look)
    with whole_file(bucket / "a") as file:
        file.write(b"new")
    assert seen == [3 << 20]  # until then, the former one
    assert (bucket / "a").read_bytes() == b"new"


def test_locks_of_files_and_objects_are_one_call(storage, tmp_path):
    for path in (storage / "lock", tmp_path / "lock"):
        with locked(path, KeyError()):
            assert path.exists()
            with pytest.raises(KeyError), locked(path, KeyError()):
                pass
        assert not path.exists()
