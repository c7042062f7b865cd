"""Writing past the page cache: the same bytes, whatever their sizes and the file system."""

import errno
import os
import resource

import numpy as np
import pytest

from cdisc_tfds.build import direct_writes
from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.whole_files import whole_file


@pytest.fixture(params=[4096, 8192, 1 << 20])
def buffer_bytes(request, monkeypatch):
    monkeypatch.setattr(direct_writes, "BUFFER_BYTES", request.param)
    monkeypatch.setattr(direct_writes, "_spare", [])
    return request.param


def contents(sizes):
    rng = np.random.default_rng(0)
    return [rng.bytes(size) for size in sizes]


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [1], [4096], [4095, 1], [4097], [8192, 8192], [3, 100_000, 0, 5], [700] * 5000],
)
def test_the_pieces_end_to_end(tmp_path, buffer_bytes, sizes):
    pieces = contents(sizes)
    with whole_file(tmp_path / "a") as file:
        write_pieces(file, iter(pieces))
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)
    assert os.listdir(tmp_path) == ["a"]


def test_a_piece_may_change_once_it_was_taken(tmp_path, buffer_bytes):
    buffer = memoryview(bytearray(1000))

    def pieces():
        for number in range(100):
            buffer[:] = bytes([number]) * 1000
            yield buffer

    with whole_file(tmp_path / "a") as file:
        write_pieces(file, pieces())
    expected = b"".join(bytes([number]) * 1000 for number in range(100))
    assert (tmp_path / "a").read_bytes() == expected


def test_something_may_follow(tmp_path, buffer_bytes):
    with whole_file(tmp_path / "a") as file:
        write_pieces(file, [b"x" * 5000])
        file.write(b"last")
    assert (tmp_path / "a").read_bytes() == b"x" * 5000 + b"last"


def test_a_disk_that_refuses(tmp_path, buffer_bytes, monkeypatch):
    """Some file systems take the flag, and then no write."""
    write, refused = os.write, []

    def refuse(descriptor, data):
        if direct_writes._set_direct(descriptor, True):  # it was off
            direct_writes._set_direct(descriptor, False)
            return write(descriptor, data)
        refused.append(len(data))
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "write", refuse)
    pieces = contents([5000] * 10)
    with whole_file(tmp_path / "a") as file:
        if not direct_writes._set_direct(file.fileno(), True):
            pytest.skip("no direct writes here")
        write_pieces(file, pieces)
    assert len(refused) == 1
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


def test_a_file_system_without_it(tmp_path, buffer_bytes, monkeypatch):
    def control(descriptor, command, *arguments):
        if arguments and arguments[0] & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    monkeypatch.setattr(direct_writes.fcntl, "fcntl", control)
    pieces = contents([5000] * 10)
    with whole_file(tmp_path / "a") as file:
        write_pieces(file, pieces)
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


def test_a_limit_in_the_middle_of_the_pieces_is_an_error(tmp_path, buffer_bytes):
    """The system writes what still fits and says so only when asked again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"), whole_file(tmp_path / "a") as file:
            write_pieces(file, [b"x" * 300] * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_an_error_of_whoever_makes_the_pieces(tmp_path, buffer_bytes):
    def pieces():
        yield b"x" * 10_000
        raise KeyError("piece")

    with pytest.raises(KeyError), whole_file(tmp_path / "a") as file:
        write_pieces(file, pieces())
    assert os.listdir(tmp_path) == []
