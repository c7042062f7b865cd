"""A `pathlib.Path` that never touches the local disk, shown on TensorFlow's `ram://`."""

import io
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow as tf

from cdisc_tfds.remote_path import RemotePath, StorageError
from cdisc_tfds.storage import path_of


def test_names_and_folders_of_a_path():
    path = RemotePath("gs://bucket/runs/a.b.json")
    assert str(path) == "gs://bucket/runs/a.b.json"
    assert (path.name, path.stem, path.suffix) == ("a.b.json", "a.b", ".json")
    assert str(path.parent / "x" / "y") == "gs://bucket/runs/x/y"
    assert str(path.with_name("c")) == "gs://bucket/runs/c"
    assert str(path.parent.parent.parent) == "gs://bucket"
    assert path.is_absolute() and path.absolute() == path.expanduser() == path
    assert str(RemotePath("gs://b/runs/fused/../a/./c").resolve()) == "gs://b/runs/a/c"
    assert str(path.relative_to(path.parent.parent)) == "runs/a.b.json"
    assert path.is_relative_to(RemotePath("gs://bucket/runs"))
    assert path == RemotePath("gs://bucket/runs") / "a.b.json" == pickle.loads(pickle.dumps(path))
    assert path != pathlib.Path("gs://bucket/runs/a.b.json")
    assert len({path, RemotePath(str(path))}) == 1


def test_a_path_of_this_machine_is_no_part_of_it():
    with pytest.raises(ValueError, match="begins with its scheme"):
        str(RemotePath("gs://bucket") / "/home/me")


def test_contents_are_read_as_they_were_written(storage):
    path = storage / "folder" / "file.txt"
    path.parent.mkdir(parents=True)
    path.write_text("Größe\n", encoding="utf-8")
    assert path.read_bytes() == "Größe\n".encode()
    path.write_text("new\n", encoding="utf-8")  # replaces it
    assert path.read_text(encoding="utf-8") == "new\n"
    assert path.stat().st_size == 4
    with path.open("rb") as file:
        file.seek(-3, io.SEEK_END)
        assert (file.read(1), file.tell(), file.read()) == (b"e", 2, b"w\n")
    with path.open("ab") as file:
        file.write(b"more")
    assert path.read_bytes() == b"new\nmore"


def test_arrays_are_read_as_they_were_written(storage):
    columns = {"ids": np.arange(300_000), "rest": np.ones(3)}
    with (storage / "a.npz").open("wb") as file:
        np.savez(file, **columns)
    with (storage / "a.npz").open("rb") as file, np.load(file) as found:
        for name, column in columns.items():
            np.testing.assert_equal(found[name], column)


def test_what_is_in_a_folder(storage):
    for name in ("b.txt", "a.txt", "inner/c.txt", "inner/d.csv"):
        (storage / name).parent.mkdir(parents=True, exist_ok=True)
        (storage / name).write_bytes(b"x")
    assert {path.name for path in storage.iterdir()} == {"a.txt", "b.txt", "inner"}
    assert [path.name for path in storage.glob("*.txt")] == ["a.txt", "b.txt"]
    assert [path.name for path in storage.rglob("*.txt")] == ["a.txt", "b.txt", "c.txt"]
    assert (storage / "inner").is_dir() and not (storage / "inner").is_file()
    assert (storage / "a.txt").is_file() and not (storage / "a.txt").is_dir()
    assert list((storage / "none").glob("*")) == []
    (storage / "a.txt").unlink()
    assert not (storage / "a.txt").exists()
    (storage / "inner").remove_tree()
    assert not (storage / "inner" / "c.txt").exists()


def test_what_is_missing_is_a_file_not_found(storage):
    path = storage / "none"
    for read in (path.read_bytes, path.open, path.stat, path.unlink):
        with pytest.raises(FileNotFoundError, match=str(path)):
            read()
    path.unlink(missing_ok=True)
    with pytest.raises(FileExistsError):
        storage.mkdir()
    path.touch()
    assert path.read_bytes() == b"" and path.is_file()
    with pytest.raises(FileExistsError):
        path.touch(exist_ok=False)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (tf.errors.PermissionDeniedError, PermissionError, "refuses access: no such right"),
        (tf.errors.UnavailableError, StorageError, "Received: no such right. Check the bucket"),
    ],
)
def test_errors_of_a_storage_say_what_to_check(storage, monkeypatch, error, kind, text):
    def fail(path):
        raise error(None, None, "no such right\nand more")

    monkeypatch.setattr(tf.io.gfile, "exists", fail)
    with pytest.raises(kind, match=text) as raised:
        (storage / "x").exists()
    assert str(storage / "x") in str(raised.value)


def test_nothing_falls_back_to_the_local_disk():
    """Each method of a path that reads or changes something is RemotePath's own, or uses them."""
    by_others = {"read_text", "write_bytes", "write_text"}  # they call `open`
    of_no_path = {"cwd", "home", "from_uri"}
    for name in vars(pathlib.Path):
        if not name.startswith("_") and not hasattr(pathlib.PurePath, name):
            assert name in vars(RemotePath) or name in by_others | of_no_path, name
    with pytest.raises(io.UnsupportedOperation, match="of gs://b/a has no `rename`"):
        RemotePath("gs://b/a").rename("gs://b/c")
    with pytest.raises(FileNotFoundError):
        open(path_of("ram://b/a"), "wb")  # noqa: SIM115
