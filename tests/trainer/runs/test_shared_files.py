"""Several workers compute the files of a folder: those that one would write, also after a kill."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.thread_workers import together
from trainer.cluster import shared_storage, shared_work
from trainer.cluster.workers import WorkersError
from trainer.runs.picture_files import PictureIndex, write_pictures
from trainer.runs.shared_files import SharedFiles, batches_per_file

KEY = {"weights": "5" * 64}
NUMBER = 7


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(shared_work, "_SECONDS", 0.001)
    monkeypatch.setattr(shared_storage, "_SECONDS", 0.1)


def arrays_of(number):
    return [np.arange(number + 1), np.full([number + 1, 2], number, np.float32)]


class Computed:
    """Computes files of 1 to 7 pictures, and fails at one of them."""

    def __init__(self, fails_at=None):
        self.numbers, self._fails_at = [], fails_at

    def __call__(self, first, end, did):
        for number in range(first, end):
            if number == self._fails_at:
                raise OSError("the disk is full")
            self.numbers.append(number)
            did(number + 1)
            yield arrays_of(number)


def completed(folder, computed, count=3):
    def begin():
        folder.mkdir(exist_ok=True)
        return PictureIndex.read(folder, KEY).intact(folder)

    def do(workers):
        return SharedFiles(folder, NUMBER, "counting", 28, workers).completed(begin, computed)

    return together(count, do)


def alone(folder):
    folder.mkdir()
    files = tuple(write_pictures(folder, number, arrays_of(number)) for number in range(NUMBER))
    PictureIndex(KEY, True, files).write(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [2, 3, 9])
def test_the_files_are_those_of_one_worker(tmp_path, count):
    computed = Computed()
    indexes = completed(tmp_path / "shared", computed, count)
    alone(tmp_path / "alone")
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert sorted(computed.numbers) == list(range(NUMBER))
    assert indexes == [PictureIndex.read(tmp_path / "alone", KEY)] * count


def test_finished_files_are_found(tmp_path):
    alone(tmp_path / "alone")
    computed = Computed()
    indexes = completed(tmp_path / "alone", computed)
    assert not computed.numbers and all(index.finished for index in indexes)


def test_after_a_failure_the_rest_is_computed(tmp_path):
    """Worker 1 has files 2 and 3, and fails at 3."""
    failed = Computed(fails_at=3)
    first, second, third = completed(tmp_path / "shared", failed)
    assert isinstance(second, OSError)
    for other in (first, third):
        assert isinstance(other, WorkersError)
        assert "worker 1 cannot go on: the disk is full" in str(other)
    assert not PictureIndex.read(tmp_path / "shared", KEY).files
    again = Computed()
    completed(tmp_path / "shared", again)
    assert 2 in failed.numbers and 2 not in again.numbers
    assert 3 in again.numbers
    alone(tmp_path / "alone")
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")


def test_what_one_worker_has_begun_is_shared(tmp_path):
    """Four files are there, the third of them damaged."""
    folder = tmp_path / "shared"
    alone(folder)
    index = PictureIndex.read(folder, KEY)
    dataclasses.replace(index, finished=False, files=index.files[:4]).write(folder)
    (folder / index.files[2].file).write_bytes(b"damaged")
    computed = Computed()
    completed(folder, computed)
    assert sorted(computed.numbers) == [2, 3, 4, 5, 6]
    alone(tmp_path / "alone")
    assert contents(folder) == contents(tmp_path / "alone")


def test_a_folder_that_is_not_shared_is_named(tmp_path):
    def begin():
        (tmp_path / "0").mkdir()
        return PictureIndex(KEY)

    def do(workers):
        folder = tmp_path / str(workers.this.index)
        return SharedFiles(folder, NUMBER, "counting", 28, workers).completed(begin, Computed())

    for error in together(2, do):
        assert isinstance(error, WorkersError)
        assert str(error).startswith("worker 1: it does not see what the chief has written to ")
        assert str(tmp_path / "1") in str(error)


def test_files_are_small_enough_to_share():
    """At least 64 files, at most 16,384 pictures each, at least a batch each."""
    assert batches_per_file(10_000_000, 256, 16384) == 64
    assert batches_per_file(64 * 512, 256, 16384) == 2
    assert batches_per_file(300, 256, 16384) == 1
