"""The thread that commits checkpoints, with arrays instead of a network."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest

from tests.helpers.killing import DONE, POINTS, follow_writer
from trainer.runs.checkpoint import CheckpointWriteError, copies_of
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.folder import RunFolder
from trainer.runs.state import Checkpoint, Position

_SECONDS = 60


def _at(step):
    return Checkpoint(Position(step=step))


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def writer(run):
    with CheckpointWriter(run, CheckpointStore(run)) as writer:
        yield writer


class _Held:
    """Holds the writer at its first point until `release`."""

    def __init__(self, monkeypatch):
        self.points, self._may_go_on = [], threading.Event()
        follow_writer(self._note, monkeypatch.setattr)

    def _note(self, point):
        self.points.append(point)
        assert self._may_go_on.wait(_SECONDS)

    def release(self):
        self._may_go_on.set()


def test_a_commit_goes_through_all_points(run, writer, monkeypatch):
    held = _Held(monkeypatch)
    held.release()
    writer.begin(_at(5), [np.zeros(3), np.ones(2)])
    writer.wait()
    assert held.points == [*POINTS, DONE]
    assert run.history_csv.exists() and run.state.newest.position.step == 5


def test_training_goes_on_meanwhile_and_the_next_commit_waits(run, writer, monkeypatch):
    held = _Held(monkeypatch)
    writer.begin(_at(5), [np.zeros(3)])
    writer.check()
    assert not run.has_state
    threading.Timer(0.2, held.release).start()
    writer.begin(_at(10), [np.zeros(3)])  # not before the first has committed
    assert held.points[: len(POINTS) + 1] == [*POINTS, DONE]
    writer.wait()
    assert [entry.position.step for entry in run.state.entries] == [10, 5]


def test_who_needs_the_store_waits(run, writer, monkeypatch):
    held = _Held(monkeypatch)
    writer.begin(_at(5), [np.zeros(3)])
    threading.Timer(0.2, held.release).start()
    with writer.alone() as store:
        assert held.points[-1] == DONE
        assert store.newest_intact().position.step == 5


def test_the_end_of_a_run_takes_over_the_training_state(run, writer):
    """Whoever commits does not know the file: it was written meanwhile."""
    writer.begin(_at(5), [np.zeros(3)])
    writer.begin(Checkpoint(Position(step=5), finished=True))
    writer.wait()
    (newest,) = run.state.entries
    assert newest.finished and newest.training_state.file == "state-0-0000-00000005.npy"


def test_an_error_is_raised_once_and_then_commits_go_on(run, writer, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    writer.begin(_at(5), [np.zeros(3)])
    writer.wait()
    with monkeypatch.context() as patch:
        patch.setattr("trainer.runs.checkpoint_store.write_arrays", full)
        writer.begin(_at(10), [np.zeros(3)])
        with pytest.raises(CheckpointWriteError, match="keeps the one before it; nothing half"):
            writer.begin(_at(15), [np.zeros(3)])
    writer.check()
    writer.wait()
    assert [entry.position.step for entry in run.state.entries] == [5]
    writer.begin(_at(20), [np.zeros(3)])
    writer.wait()
    assert [entry.position.step for entry in run.state.entries] == [20, 5]


def test_the_end_of_the_block_raises_what_nobody_asked_for(run, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.runs.checkpoint_store.write_arrays", full)
    with (
        pytest.raises(CheckpointWriteError, match="No space left"),
        CheckpointWriter(run, CheckpointStore(run)) as writer,
    ):
        writer.begin(_at(5), [np.zeros(3)])


def test_a_second_ctrl_c_leaves_a_whole_checkpoint(run, monkeypatch):
    held = _Held(monkeypatch)

    def interrupt(futures):
        monkeypatch.undo()
        held.release()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), CheckpointWriter(run, CheckpointStore(run)) as writer:
        writer.begin(_at(5), [np.zeros(3)])
        monkeypatch.setattr("concurrent.futures.wait", interrupt)
        writer.wait()
    assert CheckpointStore(run).newest_intact().position.step == 5


def test_a_written_copy_is_freed(writer):
    arrays = [np.zeros(1000), np.zeros(10)]
    references = [weakref.ref(array) for array in arrays]
    writer.begin(_at(5), arrays)
    del arrays
    writer.begin(_at(10), [np.zeros(1)])  # the thread has let go of the first
    writer.wait()
    gc.collect()
    assert [reference() for reference in references] == [None, None]


class _View:
    """A variable whose `numpy` is a view of its memory, as some backends have it."""

    def __init__(self, value):
        self.memory = bytearray(np.float32(value).tobytes())

    def numpy(self):
        return np.frombuffer(self.memory, np.float32)


def test_copies_do_not_change_with_their_variables():
    view, variable = _View([1, 2]), keras.Variable(np.float32([3, 4]))
    copies = copies_of([view, variable, keras.Variable(5.0)])
    view.memory[:] = np.float32([6, 7]).tobytes()
    variable.assign_add([1.0, 1.0])
    for copy, expected in zip(copies, ([1, 2], [3, 4], 5), strict=True):
        np.testing.assert_array_equal(copy, expected)
        assert copy.flags.owndata
