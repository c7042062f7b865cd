import dataclasses
import errno
import json
import os

import keras
import numpy as np
import pytest

from trainer.runs.checkpoint import (
    CheckpointError,
    CheckpointWriteError,
    restore_variables,
    sha256_of,
    verified_path,
    write_arrays,
)
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.state import Checkpoint, CheckpointFile, Position, StateError


def _at(step):
    """A checkpoint after some steps of the first epoch."""
    return Checkpoint(Position(step=step))


def _steps(run):
    return [entry.position.step for entry in run.state.entries]


def _model(units=3):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input([4]), keras.layers.Dropout(0.5, seed=1), keras.layers.Dense(units)]
    )
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    x, y = np.ones([8, 4], np.float32), np.ones([8, units], np.float32)
    model.fit(x, y, verbose=0)
    return model


def training_variables(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def _uncompiled():
    return keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])


def _values(model):
    return [variable.numpy() for variable in training_variables(model)]


def test_restored_variables_equal_the_written_ones(tmp_path):
    model = _model()
    before = _values(model)
    write_arrays(tmp_path / "state.npy", before)
    x, y = np.ones([8, 4], np.float32), np.zeros([8, 3], np.float32)
    model.fit(x, y, verbose=0)
    # The dropout seed's counter, the optimizer's step and the metrics have moved too.
    assert sum(not np.array_equal(a, b) for a, b in zip(before, _values(model), strict=True)) > 5
    restore_variables(tmp_path / "state.npy", training_variables(model))
    for ours, theirs in zip(before, _values(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_networks_state_is_refused(tmp_path):
    write_arrays(tmp_path / "state.npy", _values(_model()))
    with pytest.raises(CheckpointError, match=r"of shape \(4, 5\), it holds shape \(4, 3\)"):
        restore_variables(tmp_path / "state.npy", training_variables(_model(5)))


def test_a_shorter_and_a_longer_file_are_refused(tmp_path):
    model = _model()
    write_arrays(tmp_path / "short.npy", _values(model)[:-1])
    with pytest.raises(CheckpointError, match="holds fewer variables than the network"):
        restore_variables(tmp_path / "short.npy", training_variables(model))
    write_arrays(tmp_path / "long.npy", [*_values(model), np.zeros(3)])
    with pytest.raises(CheckpointError, match="holds more variables than the network"):
        restore_variables(tmp_path / "long.npy", training_variables(model))


def test_write_arrays_names_the_digest_of_the_bytes(tmp_path):
    entry = write_arrays(tmp_path / "state.npy", [np.arange(10**6), np.zeros([])])
    assert entry == CheckpointFile("state.npy", sha256_of(tmp_path / "state.npy"))


def test_the_last_two_are_kept_and_leftovers_deleted(tmp_path):
    run, model = RunFolder(tmp_path), _model()
    store = CheckpointStore(run)
    for step in (5, 10, 15):
        (run.checkpoints / "state-0-0000-00000099.npy").write_bytes(b"half")
        store.commit(_at(step), _values(model))
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "state-0-0000-00000010.npy",
        "state-0-0000-00000015.npy",
    ]
    assert CheckpointStore(run).newest_intact().position.step == 15


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path):
    run, model = RunFolder(tmp_path), _model()
    store = CheckpointStore(run)
    store.commit(_at(5), _values(model))
    store.commit(_at(10), _values(model))
    path = run.checkpoints / "state-0-0000-00000010.npy"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    store = CheckpointStore(run)
    assert store.newest_intact().position.step == 5
    # Reaching step 10 again must not touch what state.json still names.
    store.commit(_at(10), _values(model))
    assert CheckpointStore(run).newest_intact().position.step == 10


def test_no_intact_checkpoint_is_an_error_that_says_what_to_do(tmp_path):
    run = RunFolder(tmp_path)
    CheckpointStore(run).commit(_at(5), _values(_model()))
    for path in run.checkpoints.iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"has none: .* the file is damaged\. Restore the"):
        CheckpointStore(run).newest_intact()


def test_a_fresh_folder_has_no_checkpoint(tmp_path):
    assert CheckpointStore(RunFolder(tmp_path)).newest_intact() is None


def test_a_missing_file_is_named(tmp_path):
    text = "file that state.json names must exist. Missing: .*weights.h5"
    with pytest.raises(CheckpointError, match=text):
        verified_path(tmp_path, CheckpointFile("weights.h5", ""))


def test_state_json_appears_whole(tmp_path):
    run = RunFolder(tmp_path)
    CheckpointStore(run).commit(_at(5), _values(_model()))
    assert json.loads(run.state_path.read_text())["entries"][0]["position"]["step"] == 5
    assert not list(tmp_path.glob(".*partial"))


def test_a_full_disk_leaves_what_counts(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    store, arrays = CheckpointStore(run), _values(_model())

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        text = "whole. Received: No space left on device. .* has none before it; nothing half-writ"
        with pytest.raises(CheckpointWriteError, match=text), store.clear_write_errors():
            store.commit(_at(5), arrays)
    assert list(run.checkpoints.iterdir()) == [] and not run.state_path.exists()

    store.commit(_at(5), arrays)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        text = "keeps the one before it; nothing half-written counts. Make room"
        with pytest.raises(CheckpointWriteError, match=text), store.clear_write_errors():
            store.add_weights(_uncompiled(), 1)
        with pytest.raises(CheckpointWriteError, match=text), store.clear_write_errors():
            store.commit(_at(10), arrays)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    store.commit(_at(10), arrays)
    assert _steps(run) == [10, 5]


def test_the_end_of_a_run_keeps_a_state_to_go_back_to(tmp_path):
    run, arrays = RunFolder(tmp_path), _values(_model())
    store = CheckpointStore(run)
    store.commit(_at(5), arrays)
    entry = store.commit(_at(10), arrays)
    store.commit(dataclasses.replace(entry, finished=True))
    assert _steps(run) == [10, 5]
    newest = run.checkpoints / run.state.newest.training_state.file
    newest.write_bytes(newest.read_bytes()[:-1])
    assert CheckpointStore(run).newest_intact().position.step == 5


def test_other_files_are_left_alone(tmp_path):
    """A notebook's folder, or what a network file system leaves in place of an open file."""
    run = RunFolder(tmp_path)
    store = CheckpointStore(run)
    (run.checkpoints / ".ipynb_checkpoints").mkdir()
    (run.checkpoints / ".nfs0001").write_bytes(b"")
    (run.checkpoints / "notes.txt").write_text("mine")
    store.commit(_at(5), _values(_model()))
    names = {path.name for path in run.checkpoints.iterdir()}
    assert {".ipynb_checkpoints", ".nfs0001", "notes.txt"} < names


def test_a_state_that_another_process_has_written_is_not_replaced(tmp_path):
    run, arrays = RunFolder(tmp_path), _values(_model())
    suspended = CheckpointStore(run)
    suspended.commit(_at(5), arrays)
    CheckpointStore(run).commit(_at(10), arrays)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match="another one has continued the run"):
        suspended.commit(_at(7), arrays)
    with pytest.raises(RunFolderError, match="another one"), suspended.clear_write_errors():
        raise FileNotFoundError(2, "No such file")  # the other one has deleted it
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_process_that_is_suspended_while_it_writes_replaces_nothing(tmp_path, monkeypatch):
    """Most of a commit's time goes into syncing: that is where a suspension hits it."""
    arrays, fsync = _values(_model()), os.fsync

    def commit_beside(folder, call):
        """Another process continues the run during a call of fsync; returns the steps it left."""
        run, calls = RunFolder(folder), []
        suspended = CheckpointStore(run)
        suspended.commit(_at(5), arrays)
        other = CheckpointStore(run)

        def meanwhile(descriptor):
            fsync(descriptor)
            calls.append(descriptor)
            if len(calls) == call:
                monkeypatch.setattr(os, "fsync", fsync)
                for step in (10, 15, 20):
                    other.commit(_at(step), arrays)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", meanwhile)
            suspended.commit(_at(10), arrays)
        return len(calls)

    calls = commit_beside(tmp_path / "undisturbed", call=0)
    assert calls > 6
    for call in range(1, calls):  # all but the last, which follows the name
        with pytest.raises(RunFolderError, match="another one has continued the run"):
            commit_beside(tmp_path / str(call), call)
        assert _steps(RunFolder(tmp_path / str(call))) == [20, 15]
        assert CheckpointStore(RunFolder(tmp_path / str(call))).newest_intact() is not None


@pytest.mark.parametrize("left", [0, 0.5, -1, None])
def test_a_damaged_state_gives_way_to_its_predecessor(tmp_path, left, caplog):
    run, arrays = RunFolder(tmp_path), _values(_model())
    store = CheckpointStore(run)
    for step in (5, 10, 15):
        store.commit(_at(step), arrays)
    content = run.state_path.read_bytes()
    if left is None:
        run.state_path.unlink()
    else:
        run.state_path.write_bytes(content[: int(len(content) * left) if left >= 0 else -2])
    with caplog.at_level("WARNING"):
        store = CheckpointStore(run)
    assert store.newest_intact().position.step == 10
    assert "Going back to state.previous.json" in caplog.text
    store.commit(_at(15), arrays)
    assert _steps(run) == [15, 10]


def test_a_state_without_a_predecessor_that_is_damaged_is_named(tmp_path):
    run = RunFolder(tmp_path)
    CheckpointStore(run).commit(_at(5), _values(_model()))
    run.state_path.write_text("")
    with pytest.raises(StateError, match="state.json cannot be read as a run's state.* Restore th"):
        CheckpointStore(run)
    run.previous_state_path.write_text("{}")
    with pytest.raises(StateError, match="state.previous.json cannot be read .* Restore the run's"):
        CheckpointStore(run)
