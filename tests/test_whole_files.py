"""Whole or not at all."""

import os
import resource

import pytest

from cdisc_tfds.whole_files import rename_synced, whole_file, write_pieces


def test_appears_at_the_end(tmp_path):
    path = tmp_path / "a"
    with whole_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_an_error_leaves_what_was(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_takes_its_name_when_it_is_on_the_disk(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *paths: (order.append("replace"), replace(*paths)))
    (tmp_path / "a.written").write_bytes(b"new")
    rename_synced(f"{tmp_path}/a.written", f"{tmp_path}/a")
    assert order == ["fsync", "replace"]
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_many_pieces(tmp_path):
    pieces = [bytes([number % 256]) * (number % 5) for number in range(5000)]
    with whole_file(tmp_path / "a") as file:
        file.write(b"first")
        write_pieces(file, iter(pieces))
        file.write(b"last")
    assert (tmp_path / "a").read_bytes() == b"first" + b"".join(pieces) + b"last"


def test_a_limit_in_the_middle_of_the_pieces_is_an_error(tmp_path):
    """The system writes what still fits and says so only when asked again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"), whole_file(tmp_path / "a") as file:
            write_pieces(file, [b"x" * 300] * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []
