"""Checkpoints that are written while training goes on: kills, errors, and who waits for whom."""

import concurrent.futures
import errno
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import COMMITTED, POINTS, Do, follow_writer
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.runs import checkpoint_store
from trainer.runs.checkpoint import CheckpointWriteError
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.state import Checkpoint, Position
from trainer.terminal.command import Preempted
from trainer.training.train import train

_SECONDS = 120  # the longest wait for the other thread


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    assert 9 <= -(-data.split("train").num_pictures // 16) <= 12  # steps an epoch
    return data


def _config(**changes):
    # All that changes from step to step: weights, averages, dropout's seeds, the optimizer.
    return small_config(
        **{
            "model": "solution1_1",
            "augment": "flip_shift",
            "dropout": 0.3,
            "batch_size": 16,
            "epochs": 1,
            "log_every_steps": 2,
            "checkpoint_steps": 3,
            "ema_momentum": 0.9,
        }
        | changes
    )


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return train(_config(), tmp_path_factory.mktemp("runs") / "undisturbed", data)


class _Reached:
    """A hook's function that tells another thread which step training has reached."""

    def __init__(self):
        self._condition, self._step = threading.Condition(), 0

    def __call__(self, place):
        with self._condition:
            self._step = place.step
            self._condition.notify_all()

    def wait(self, step):
        with self._condition:
            assert self._condition.wait_for(lambda: self._step >= step, _SECONDS)


@pytest.fixture(scope="module")
def killed(data, undisturbed, tmp_path_factory):
    """What a kill at each point of the checkpoint of step 6 leaves of a run: copies of its folder.

    Training has taken three more steps, and drawn another point of its curves, before the second
    half of the file is written.
    """
    folder, reached, copied = tmp_path_factory.mktemp("killed"), _Reached(), []
    patches = pytest.MonkeyPatch()

    def copy(point):
        if point == "copied":
            copied.append(point)
        if len(copied) == 2 and point in POINTS:
            reached.wait(7 if point == "copied" else 9)
            shutil.copytree(folder / "run", folder / point)

    with patches.context() as patch:
        follow_writer(copy, patch.setattr)
        run = train(_config(), folder / "run", data, [Do(reached)])
    assert_same_run(run, undisturbed)
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_a_checkpoint_is_written(data, undisturbed, killed, tmp_path, point):
    shutil.copytree(killed / point, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert run.state.newest.position.step == (6 if point == COMMITTED else 3)
    assert_same_run(train(_config(), run.path, data), undisturbed)


def test_one_thread_at_a_time_uses_the_store(data, undisturbed, tmp_path, monkeypatch):
    """With a checkpoint after each step, each of which lasts longer than a step."""
    owner, threads = threading.RLock(), set()

    def guarded(method):
        def call(*args, **kwargs):
            assert owner.acquire(blocking=False), "two threads in the store"
            try:
                threads.add(threading.current_thread().name)
                return method(*args, **kwargs)
            finally:
                owner.release()

        return call

    for name in ("commit", "add_weights", "require_own_state"):
        monkeypatch.setattr(CheckpointStore, name, guarded(getattr(CheckpointStore, name)))
    follow_writer(lambda point: time.sleep(0.02), monkeypatch.setattr)
    run = train(_config(checkpoint_steps=1), tmp_path / "run", data)
    assert len(threads) == 2
    assert_same_run(run, undisturbed)


class _FullDisk:
    """In place of `write_arrays`: the second checkpoint does not fit."""

    def __init__(self, monkeypatch, begun=lambda: None):
        self._write, self._calls, self._begun = checkpoint_store.write_arrays, 0, begun
        monkeypatch.setattr(checkpoint_store, "write_arrays", self)

    def __call__(self, path, arrays):
        self._calls += 1
        if self._calls == 2:
            self._begun()
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(path, arrays)


def _writers(monkeypatch):
    """The writers that begin a commit from now on."""
    writers, begin = [], CheckpointWriter.begin

    def noted(self, *args):
        writers.append(self)
        begin(self, *args)

    monkeypatch.setattr(CheckpointWriter, "begin", noted)
    return writers


def test_a_full_disk_ends_training_before_the_next_step(data, undisturbed, tmp_path, monkeypatch):
    steps = []

    def wait_for_the_failure(place):
        steps.append(place.step)
        if place.step == 7:
            concurrent.futures.wait([writers[-1]._in_flight], _SECONDS)

    with monkeypatch.context() as patch:
        _FullDisk(patch)
        writers = _writers(patch)
        with pytest.raises(
            CheckpointWriteError,
            match=r"whole. Received: No space left on device. .*run keeps the one before it; ",
        ):
            train(_config(), tmp_path / "run", data, [Do(wait_for_the_failure)])
    run = RunFolder(tmp_path / "run")
    assert steps[-1] == 7 and run.state.newest.position.step == 3
    assert [path.name for path in run.checkpoints.iterdir()] == ["state-0-0000-00000003.npy"]
    assert_same_run(train(_config(), run.path, data), undisturbed)


def test_the_next_checkpoint_is_not_begun_after_a_failure(data, tmp_path, monkeypatch):
    """The disk is full just before: no hook has noticed yet."""
    reached = _Reached()
    _FullDisk(monkeypatch, begun=lambda: reached.wait(9))
    writers = _writers(monkeypatch)
    with pytest.raises(CheckpointWriteError, match="No space left on device"):
        train(_config(), tmp_path / "run", data, [Do(reached)])
    assert len(writers) == 2
    assert RunFolder(tmp_path / "run").state.newest.position.step == 3


def test_when_training_fails_as_well_both_are_told(data, tmp_path, monkeypatch, caplog):
    failed = threading.Event()

    def fail(place):
        if place.step == 7:
            failed.set()
            raise DatasetError("A record is damaged.")

    _FullDisk(monkeypatch, begun=lambda: failed.wait(_SECONDS))
    with pytest.raises(DatasetError, match="A record is damaged."):
        train(_config(), tmp_path / "run", data, [Do(fail)])
    assert (
        "The last checkpoint could not be written either. CheckpointWriteError: [Errno 28] A "
        "checkpoint must be written whole. Received: No space left on device." in caplog.text
    )


def test_a_run_that_another_process_took_over_is_left_to_it(data, tmp_path, monkeypatch):
    """As on a file system without locks; the other one commits while this one writes its file."""
    run, others = RunFolder(tmp_path / "run"), []

    def take_over(point):
        if point == "file written" and run.has_state and not others:
            others.append(CheckpointStore(run))
            others[0].commit(Checkpoint(Position(step=99)), [np.zeros(1)])

    follow_writer(take_over, monkeypatch.setattr)
    with pytest.raises(RunFolderError, match="another one has continued the run"):
        train(_config(), run.path, data)
    assert run.state.newest.position.step == 99
    assert others[0].newest_intact() == run.state.newest


def test_sigterm_waits_for_the_checkpoint_in_flight(data, undisturbed, tmp_path, monkeypatch):
    reached, done = _Reached(), []

    def ask(place):
        reached(place)
        if place.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    def linger(point):
        if point == COMMITTED:
            reached.wait(4)
            time.sleep(0.2)
            done.append(RunFolder(tmp_path / "run").state.newest.position.step)

    with monkeypatch.context() as patch:
        follow_writer(linger, patch.setattr)
        with pytest.raises(Preempted, match="at epoch 1, step 4; the checkpoint in .* is complete"):
            train(_config(), tmp_path / "run", data, [Do(ask)])
    assert done == [3, 4]
    assert_same_run(train(_config(), tmp_path / "run", data), undisturbed)
