"""Whole or not at all, and on the disk before it counts."""

import errno
import json
import os
import re
import stat

import pytest

from cdisc_tfds.whole_files import (
    can_create,
    removed_on_error,
    rename_synced,
    sync_folder,
    whole_file,
    write_json,
)


@pytest.fixture
def calls(monkeypatch):
    """The order in which files and folders are synced and renamed."""
    order = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        order.append("sync folder" if stat.S_ISDIR(mode) else "sync file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("name"), replace(*paths)))
    return order


def test_appears_at_the_end(tmp_path, calls):
    path = tmp_path / "a"
    with whole_file(path) as file:
        file.write(b"new")
        (partial,) = os.listdir(tmp_path)
        assert re.fullmatch(r"\.a\.[0-9a-f]{8}\.partial", partial)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]
    assert calls == ["sync file", "name", "sync folder"]


def test_an_error_leaves_what_was(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_an_error_of_the_disk_leaves_what_was(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"), whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_text(tmp_path):
    with whole_file(tmp_path / "a", "w", encoding="utf-8", newline="") as file:
        file.write("é\r\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n"


def test_json(tmp_path, calls):
    write_json(tmp_path / "a.json", {"rate": 0.5, "names": ["é"]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"rate": 0.5, "names": ["é"]}
    assert text.startswith('{\n  "rate": 0.5,') and text.endswith("}\n")
    assert calls == ["sync file", "name", "sync folder"]


@pytest.mark.parametrize("relative", [False, True])
def test_a_file_takes_its_name_when_it_is_on_the_disk(tmp_path, calls, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    folder = "" if relative else f"{tmp_path}/"
    (tmp_path / "a.written").write_bytes(b"new")
    rename_synced(f"{folder}a.written", f"{folder}a")
    assert calls == ["sync file", "name", "sync folder"]
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_an_unfinished_file_is_removed(tmp_path):
    with pytest.raises(KeyError), removed_on_error(tmp_path / "a") as file:
        file.write(b"new")
        raise KeyError
    assert os.listdir(tmp_path) == []
    with removed_on_error(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch):
    code = [errno.EINVAL]

    def refuse(_):
        raise OSError(code[0], os.strerror(code[0]))

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)
    code[0] = errno.EIO  # a disk that fails is told
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    path = tmp_path / ("ü" * 127)  # 254 bytes
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


def test_what_can_be_created(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert can_create(tmp_path / "file")
    assert can_create(tmp_path / "a" / "b" / "c")
    assert not can_create(tmp_path / "file" / "x")
    assert not can_create(tmp_path / "file" / "x" / "y")
    monkeypatch.chdir(tmp_path)
    assert can_create("new")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for a folder of somebody else
    assert not can_create("new")


def test_what_is_checked_before_the_rename_sees_the_old_file(tmp_path, calls):
    path = tmp_path / "a"
    path.write_text("old")

    def refuse():
        assert path.read_text() == "old" and calls == ["sync file"]
        raise RuntimeError("refused")

    with (
        pytest.raises(RuntimeError, match="refused"),
        whole_file(path, before_rename=refuse) as file,
    ):
        file.write(b"new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]
