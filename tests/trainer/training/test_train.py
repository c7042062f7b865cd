import dataclasses
import json
import math
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.finished_runs import assert_same_run, curves_of
from tests.helpers.killing import Do, KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.data.label_map import LabelMapError
from trainer.models.losses import SparseCrossentropy
from trainer.prediction import validation
from trainer.runs.checkpoint import sha256_of
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.settings.config import ConfigError
from trainer.terminal.command import Preempted
from trainer.training import feeds
from trainer.training.finite_guard import NonFiniteLossError
from trainer.training.stages import stages
from trainer.training.train import OutOfMemoryError, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    return data


def _config(**changes):
    # With dropout and augmentation, so that a resumed run that lost a seed would show it.
    return small_config(
        **{
            "model": "solution1_1",
            "augment": "flip_shift",
            "dropout": 0.3,
            "batch_size": 16,
            "epochs": 3,
            "learning_rate": 0.003,
            "log_every_steps": 2,
            "checkpoint_steps": 3,
            "ema_momentum": 0.9,
        }
        | changes
    )


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return train(_config(), tmp_path_factory.mktemp("runs") / "undisturbed", data)


def test_history_and_files_of_a_run(undisturbed):
    history, state = undisturbed.history, undisturbed.state
    assert [row.epoch for row in history] == [0, 1, 2]
    assert history[-1].val_loss < history[0].val_loss
    assert state.finished
    best = min(history, key=lambda row: row.val_loss)
    assert state.best.epoch == best.epoch
    assert sha256_of(undisturbed.checkpoints / state.best.file) == state.best.sha256
    assert undisturbed.config == _config()
    header, *rows = undisturbed.history_csv.read_text().splitlines()
    assert header.split(",")[0] == "epoch" and len(rows) == 3


def test_curves_have_a_point_every_two_steps_and_one_an_epoch(undisturbed, data):
    curves = curves_of(undisturbed)
    steps = math.ceil(data.split("train").num_pictures / 16)
    expected = [epoch * steps + step for epoch in range(3) for step in range(2, steps, 2)]
    assert [step for step, _ in curves["train", "loss"]] == expected
    assert [step for step, _ in curves["validation", "epoch_product_accuracy"]] == [0, 1, 2]
    assert curves["validation", "epoch_loss"] == [
        (row.epoch, pytest.approx(row.val_loss)) for row in undisturbed.history
    ]


@pytest.mark.parametrize(
    "call",
    [
        2,
        pytest.param(5, marks=pytest.mark.torture),
        11,
        pytest.param(14, marks=pytest.mark.torture),
        17,
    ],
)
def test_a_killed_run_ends_bit_for_bit_as_an_undisturbed_one(data, undisturbed, tmp_path, call):
    with pytest.raises(Killed):
        train(_config(), tmp_path / "run", data, hooks=[KillAt(call)])
    run = train(_config(), tmp_path / "run", data)
    assert_same_run(run, undisturbed)


def test_killed_twice_also_in_validation(data, undisturbed, tmp_path, monkeypatch):
    def die(self, epoch, between_batches):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(feeds.PictureFeed, "validate", die)
        train(_config(), tmp_path / "run", data)
    with pytest.raises(Killed):
        train(_config(), tmp_path / "run", data, hooks=[KillAt(6)])
    run = train(_config(), tmp_path / "run", data)
    assert_same_run(run, undisturbed)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(data, undisturbed, tmp_path):
    with pytest.raises(Killed):
        train(_config(), tmp_path / "run", data, hooks=[KillAt(14)])
    run = RunFolder(tmp_path / "run")
    file = run.checkpoints / run.state.newest.training_state.file
    file.write_bytes(file.read_bytes()[:-1])
    assert_same_run(train(_config(), run.path, data), undisturbed)


def test_so_does_one_that_a_continued_run_wrote(data, undisturbed, tmp_path, caplog):
    for call in (5, 6):  # the second counts from where the first left off
        with pytest.raises(Killed):
            train(_config(), tmp_path / "run", data, hooks=[KillAt(call)])
    run = RunFolder(tmp_path / "run")
    newest, before = (entry.position for entry in run.state.entries)
    assert (newest.epoch, newest.step) > (before.epoch, before.step)
    (run.checkpoints / run.state.newest.training_state.file).write_bytes(b"")
    with caplog.at_level("WARNING"):
        train(_config(), run.path, data)
    assert "the file is damaged. Going back to the checkpoint before it." in caplog.text
    assert_same_run(run, undisturbed)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.torture)],
)
def test_a_signal_writes_a_checkpoint_and_says_so(data, undisturbed, tmp_path, number):
    def ask(place):
        if (place.epoch, place.step) == (1, 4):
            os.kill(os.getpid(), number)

    with pytest.raises(Preempted, match=r"at epoch 2, step 4; the checkpoint in .* continues"):
        train(_config(), tmp_path / "run", data, hooks=[Do(ask)])
    assert RunFolder(tmp_path / "run").state.newest.position.step == 4
    run = train(_config(), tmp_path / "run", data)
    assert_same_run(run, undisturbed)


def test_sigterm_in_validation_does_not_wait_for_its_end(data, undisturbed, tmp_path, monkeypatch):
    original = validation.predict_products
    batches = []

    def predict(*args, **kwargs):
        for batch in original(*args, **kwargs):
            batches.append(batch)
            if len(batches) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    steps = math.ceil(data.split("train").num_pictures / 16)
    with monkeypatch.context() as patch:
        patch.setattr(validation, "predict_products", predict)
        with pytest.raises(Preempted, match=rf"at epoch 1, step {steps}; the checkpoint in"):
            train(_config(), tmp_path / "run", data)
    assert len(batches) == 2
    run = train(_config(), tmp_path / "run", data)
    assert_same_run(run, undisturbed)


def test_sigterm_in_the_last_moments_goes_to_who_listened_before(data, tmp_path, monkeypatch):
    """Else a two-stage run would train its next network, whatever it was asked."""
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append(1))
    original = CheckpointStore.commit

    def commit(self, checkpoint, arrays=None):
        if checkpoint.finished:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, checkpoint, arrays)

    monkeypatch.setattr(CheckpointStore, "commit", commit)
    try:
        run = train(_config(epochs=1), tmp_path / "run", data)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert run.state.finished and received == [1]


def test_a_finished_run_is_left_alone_and_more_epochs_go_on(data, tmp_path):
    run = train(_config(epochs=1), tmp_path / "run", data)
    state = run.state
    train(_config(epochs=1), tmp_path / "run", data)
    assert run.state == state
    train(_config(epochs=2), tmp_path / "run", data)
    longer = train(_config(epochs=2), tmp_path / "longer", data)
    assert_same_run(run, longer)


def test_changed_settings_are_refused_by_name(data, undisturbed):
    config = _config(batch_size=8, seed=3)
    with pytest.raises(
        ConfigError,
        match=r"continued with the settings that it was started with\. .* differs in "
        r"--batch_size: the run has 16, received 8; --seed: the run has 0, rec",
    ):
        train(config, undisturbed.path, data)
    with pytest.raises(ConfigError, match="--epochs: the run has 3, received 2"):
        train(_config(epochs=2), undisturbed.path, data)


def test_a_schedule_ends_with_the_epochs_so_they_may_not_change(data, tmp_path):
    train(_config(epochs=1, schedule="cosine"), tmp_path / "run", data)
    with pytest.raises(ConfigError, match="--epochs: the run has 1, received 2"):
        train(_config(epochs=2, schedule="cosine"), tmp_path / "run", data)


def test_a_folder_of_something_else_is_not_touched(data, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="which holds other files"):
        train(_config(), tmp_path, data)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_data_sets_categories_are_refused(data, undisturbed, tmp_path):
    other = SmallData(tmp_path)
    header, *rows = other.categories_path.read_text().splitlines(keepends=True)
    other.categories_path.write_text("".join([header, *reversed(rows)]))
    other.categories = type(other.categories).from_csv(other.categories_path)
    with pytest.raises(LabelMapError, match="the same categories in the same order"):
        train(_config(), undisturbed.path, other)


def test_a_non_finite_loss_stops_at_once(data, tmp_path):
    config = _config(optimizer="sgd", learning_rate=1e30, checkpoint_steps=0)
    with pytest.raises(
        NonFiniteLossError,
        match=r"loss must stay finite. NaN or infinity came up in epoch 1, step 2; .* keeps the ",
    ):
        train(config, tmp_path / "run", data)
    assert not RunFolder(tmp_path / "run").state_path.exists()


def test_the_last_good_checkpoint_outlives_a_loss_that_is_not_finite(data, tmp_path, monkeypatch):
    run = train(_config(epochs=1), tmp_path / "run", data)
    state, files = run.state, sorted(run.checkpoints.iterdir())

    def spoilt(self, y_true, y_pred):
        # The first step's loss is finite still, its gradient is not.
        return original(self, y_true, y_pred) + keras.ops.sqrt(keras.ops.sum(y_pred * 0.0))

    original = SparseCrossentropy.call
    with monkeypatch.context() as patch:
        patch.setattr(SparseCrossentropy, "call", spoilt)
        with pytest.raises(NonFiniteLossError, match="in epoch 2, step 2; .* keeps the last good"):
            train(_config(epochs=2), run.path, data)
        # A checkpoint between the update that spoils the weights and the next outputs.
        with pytest.raises(
            NonFiniteLossError, match=r"weights .*kernel must stay finite. .* in epoch 2, step 1;"
        ):
            train(_config(epochs=2, checkpoint_steps=1), run.path, data)
    assert run.state == state and sorted(run.checkpoints.iterdir()) == files
    undisturbed = train(_config(epochs=2), tmp_path / "undisturbed", data)
    assert_same_run(train(_config(epochs=2), run.path, data), undisturbed)


def test_early_stopping_goes_by_the_history(data, tmp_path):
    config = _config(learning_rate=0.0, epochs=9, early_stopping=2, ema_momentum=0.0)
    run = train(config, tmp_path / "run", data)
    assert [row.epoch for row in run.history] == [0, 1, 2]
    state = run.state
    assert train(config, run.path, data).state == state
    # Who no longer wants to stop gets the rest.
    run = train(dataclasses.replace(config, early_stopping=0), run.path, data)
    assert len(run.history) == 9 and not run.state.newest.stopped_early


def test_early_stopping_survives_a_kill_before_the_run_is_finished(data, tmp_path, monkeypatch):
    config = _config(learning_rate=0.0, epochs=9, early_stopping=2, ema_momentum=0.0)
    undisturbed = train(config, tmp_path / "undisturbed", data)
    original = CheckpointStore.commit

    def die_at_the_end(self, checkpoint, arrays=None):
        if checkpoint.finished:
            raise Killed
        return original(self, checkpoint, arrays)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(CheckpointStore, "commit", die_at_the_end)
        train(config, tmp_path / "run", data)
    run = train(config, tmp_path / "run", data)
    assert len(run.history) == 3 and run.state.newest.stopped_early
    assert_same_run(run, undisturbed)


def test_overlapping_splits_are_refused(data, tmp_path):
    with pytest.raises(DatasetError, match="may not share products"):
        train(_config(validation_split="train"), tmp_path / "run", data)


@pytest.mark.parametrize("spec", ["train", "validation"])
def test_a_damaged_record_is_named_and_the_checkpoint_kept(undisturbed, tmp_path, spec):
    """Of the files only: the index is in memory here."""
    data = SmallData(tmp_path)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    run = train(_config(epochs=1), tmp_path / "run", data)
    state = run.state
    path = tmp_path / f"{spec}-1.tfrecord"
    intact = path.read_bytes()
    path.write_bytes(intact[:-200] + b"?" + intact[-199:])
    with pytest.raises(
        DatasetError,
        match=rf"split '{spec}' must be intact. Received from .*corrupted record at \d+",
    ):
        train(_config(epochs=3), run.path, data)
    if spec == "train":
        assert run.state == state
        with pytest.raises(DatasetError, match="split 'train' must be intact"):
            train(_config(), tmp_path / "new", data)  # whose first batch is shown in TensorBoard
    path.write_bytes(intact)
    assert_same_run(train(_config(epochs=3), run.path, data), undisturbed)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
)
def test_memory_that_is_short_gives_a_suggestion(data, tmp_path, error):
    def exhausted(place):
        raise error

    with pytest.raises(
        OutOfMemoryError,
        match=r"Received: 16 pictures of 16 x 16 with --model=\w+ and --precision=float32\. Try "
        r"--micro_batch=8 \(the same batch in parts\), --batch_size=8, a smaller --image_size or "
        r"a 16-bit --precision \(mixed_bfloat16\) in a new --run_dir.*--eval_batch_size below 8",
    ):
        train(_config(), tmp_path / "run", data, hooks=[Do(exhausted)])


def test_parts_of_a_batch_that_are_too_large_are_made_smaller(data, tmp_path):
    def exhausted(place):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(OutOfMemoryError, match=r"Try --micro_batch=2, --batch_size=8, a smaller"):
        train(_config(micro_batch=4), tmp_path / "run", data, hooks=[Do(exhausted)])


def test_another_error_of_tensorflow_is_no_lack_of_memory(data, tmp_path):
    def fails(place):
        raise tf.errors.InternalError(None, None, "no kernel image is available")

    with pytest.raises(tf.errors.InternalError, match="no kernel image"):
        train(_config(), tmp_path / "run", data, hooks=[Do(fails)])


def test_chunks_are_trained_one_an_epoch(data, tmp_path):
    data.add("chunk", make_products(np.arange(24) % 6, seed=5, first_id=5000))
    config = _config(chunks=(("train", "validation"), ("chunk", "validation")), epochs=2)
    run = train(config, tmp_path / "run", data)
    steps = [math.ceil(data.split(name).num_pictures / 16) for name in ("train", "chunk")]
    assert steps[0] != steps[1]
    assert run.state.newest.position.global_step == sum(steps)
    assert len(run.history) == 2


def test_stages():
    config = dataclasses.replace(_config(), trainable="staged", head_epochs=2, epochs=5)
    assert [(s.name, s.first, s.end, s.learning_rate) for s in stages(config)] == [
        ("head", 0, 2, 0.003),
        ("top_blocks", 2, 5, 0.001),
    ]
    assert [s.name for s in stages(dataclasses.replace(config, epochs=2))] == ["head"]
    assert [s.name for s in stages(dataclasses.replace(config, trainable="all"))] == ["all"]


def test_label_map_and_environment_are_kept(undisturbed):
    saved = json.loads(undisturbed.label_map_path.read_text())
    assert saved["num_classes"] == undisturbed.label_map.num_classes == 6
    assert json.loads(undisturbed.environment_path.read_text())["tensorflow"] == tf.__version__
