"""Every written file cut to nothing, to half and by a byte; two actors; inputs that change.

`make torture` runs this. After each trial the result must be the undisturbed one, or a sentence.
"""

from __future__ import annotations

import logging
import os
import pathlib
import random
import shutil

import pytest
import tensorflow_datasets as tfds

import cdisc_tfds
from cdisc_tfds.build import merged_shards, part_sequence, shard_writing, split_job
from tests.conftest import CATEGORY_NAMES, write_competition
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import Do, Killed
from tests.helpers.small_data import small_config
from tests.helpers.tiny_pretrained import NAME, add_to_models
from trainer.data.dataset import open_dataset
from trainer.prediction.evaluation import evaluate_run
from trainer.runs.folder import RunFolder
from trainer.training import feature_store
from trainer.training.train import train

pytestmark = pytest.mark.torture

_RANDOM = random.Random(int(os.environ.get("TORTURE_SEED", "0")))
CONFIG = {
    "train_split": "train[:14]",
    "validation_split": "train[14:]",
    "image_size": 16,
    "epochs": 2,
    "batch_size": 4,
    "checkpoint_steps": 2,
    "log_every_steps": 2,
    "ema_momentum": 0.5,
}


def cuts(path: pathlib.Path) -> list[int]:
    """Sizes to cut a file to: nothing, half, all but a byte, and one at random."""
    size = path.stat().st_size
    return sorted({0, size // 2, max(0, size - 1), _RANDOM.randrange(size) if size else 0})


def build(data_dir: pathlib.Path, manual_dir: pathlib.Path, **options) -> pathlib.Path:
    """Builds the data set, and returns its folder."""
    builder = cdisc_tfds.Builder(data_dir=data_dir, num_processes=1, **options)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, num_shards=2)
    )
    return pathlib.Path(builder.data_dir)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def refused(action) -> str:
    """Calls it; returns the project's own sentence if it refuses, else an empty text."""
    try:
        action()
    except (ValueError, OSError) as error:
        if type(error).__module__.split(".")[0] not in ("trainer", "cdisc_tfds"):
            raise
        assert len(str(error)) > 20
        return str(error)
    return ""


class Outcomes:
    """Counts what became of the trials."""

    def __init__(self):
        self.counts = {"repaired": 0, "refused": 0}

    def add(self, sentence: str) -> None:
        self.counts["refused" if sentence else "repaired"] += 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@pytest.fixture(scope="module")
def outcomes():
    return Outcomes()


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory):
    return write_competition(tmp_path_factory.mktemp("manual"))


@pytest.fixture(scope="module")
def data_dir(manual_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build(folder, manual_dir)
    return folder


def config_of(data_dir: pathlib.Path, **changes):
    return small_config(**CONFIG | {"data_dir": str(data_dir)} | changes)


@pytest.fixture(scope="module")
def undisturbed(data_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return train(config_of(data_dir), run_dir, open_dataset(data_dir))


@pytest.fixture(scope="module")
def begun(data_dir, tmp_path_factory):
    """Killed in the second epoch."""
    run_dir = tmp_path_factory.mktemp("runs") / "run"

    def kill(place) -> None:
        if place.epoch == 1 and place.step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(config_of(data_dir), run_dir, open_dataset(data_dir), hooks=[Do(kill)])
    return RunFolder(run_dir)


def all_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_files_of_a_run_that_is_resumed(begun, undisturbed, data_dir, tmp_path, outcomes, caplog):
    data = open_dataset(data_dir)
    for number, name in enumerate(all_files(begun.path)):
        for size in cuts(begun.path / name):
            run_dir = tmp_path / f"{number}-{size}"
            shutil.copytree(begun.path, run_dir)
            os.truncate(run_dir / name, size)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                sentence = refused(lambda at=run_dir: train(config_of(data_dir), at, data))
            outcomes.add(sentence)
            if not sentence and "points of its curves are lost" not in caplog.text:
                assert_same_run(RunFolder(run_dir), undisturbed), (name, size)
            shutil.rmtree(run_dir)


def test_files_of_a_run_that_is_evaluated(undisturbed, tmp_path, outcomes):
    expected = evaluate_run(undisturbed.path).counts
    for number, name in enumerate(all_files(undisturbed.path)):
        for size in cuts(undisturbed.path / name):
            run_dir = tmp_path / f"{number}-{size}"
            shutil.copytree(undisturbed.path, run_dir)
            os.truncate(run_dir / name, size)
            found = []
            sentence = refused(lambda at=run_dir, to=found: to.append(evaluate_run(at).counts))
            outcomes.add(sentence)
            assert sentence or found == [expected], (name, size)
            shutil.rmtree(run_dir)


def test_files_of_a_data_set(data_dir, undisturbed, tmp_path, outcomes):
    (folder,) = (data_dir / "cdiscount").glob("1.*")
    expected = evaluate_run(undisturbed.path).counts
    for number, name in enumerate(all_files(folder)):
        for size in cuts(folder / name):
            copy = tmp_path / f"{number}-{size}"
            shutil.copytree(data_dir, copy)
            os.truncate(copy / folder.relative_to(data_dir) / name, size)
            run_dir, found = copy / "run", []

            def use(copy=copy, run_dir=run_dir, found=found) -> None:
                run = train(config_of(copy), run_dir, open_dataset(copy))
                found.append(evaluate_run(run.path).counts)

            sentence = refused(use)
            outcomes.add(sentence)
            if not sentence:
                assert found == [expected], (name, size)
                assert [row.loss for row in RunFolder(run_dir).history] == [
                    row.loss for row in undisturbed.history
                ]
            shutil.rmtree(copy)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(split_job, "MIN_PART_BYTES", 6000)
    monkeypatch.setattr(split_job, "MAX_PART_BYTES", 6000)
    monkeypatch.setattr(merged_shards, "PIECE_BYTES", 3000)


@pytest.mark.parametrize("reread", ["1", "0"], ids=["reread", "merged"])
def test_files_of_an_interrupted_build(
    reread, manual_dir, data_dir, small_parts, tmp_path, outcomes, monkeypatch
):
    monkeypatch.setenv("CDISCOUNT_REREAD", reread)
    (folder,) = (data_dir / "cdiscount").glob("1.*")
    expected = contents(folder)
    original, calls = shard_writing.write_shard, []

    def stop_at_the_second(task):
        calls.append(task)
        if len(calls) == 2:
            raise Killed
        return original(task)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shard_writing, "write_shard", stop_at_the_second)
        build(tmp_path / "begun", manual_dir)
    begun = tmp_path / "begun"
    names = all_files(begun)
    assert len(names) > 5
    for number, name in enumerate(names):
        for size in cuts(begun / name):
            copy = tmp_path / f"{number}-{size}"
            shutil.copytree(begun, copy)
            os.truncate(copy / name, size)
            built = []
            sentence = refused(lambda at=copy, to=built: to.append(build(at, manual_dir)))
            outcomes.add(sentence)
            assert sentence or contents(built[0]) == expected, (name, size)
            shutil.rmtree(copy)


def test_files_of_cached_features(data_dir, tmp_path, outcomes, monkeypatch):
    add_to_models(monkeypatch)
    monkeypatch.setattr(feature_store, "_BATCH_SIZE", 4)
    monkeypatch.setattr(feature_store, "_PICTURES_PER_FILE", 8)
    changes = {"model": NAME, "trainable": "head", "dropout": 0.2}
    data = open_dataset(data_dir)

    def run_with(features: pathlib.Path, run_dir: pathlib.Path):
        config = config_of(data_dir, features_dir=str(features), **changes)
        return train(config, run_dir, data).history

    expected = [row.loss for row in run_with(tmp_path / "features", tmp_path / "run")]
    for number, name in enumerate(all_files(tmp_path / "features")):
        for size in cuts(tmp_path / "features" / name):
            copy, run_dir = tmp_path / f"{number}-{size}", tmp_path / f"{number}-{size}.run"
            shutil.copytree(tmp_path / "features", copy)
            os.truncate(copy / name, size)
            outcomes.add("")
            assert [row.loss for row in run_with(copy, run_dir)] == expected, (name, size)
            shutil.rmtree(copy)
            shutil.rmtree(run_dir)


def test_a_suspended_trainer_and_another_one(data_dir, undisturbed, tmp_path, outcomes):
    """At random steps the first one sleeps, and meanwhile the second one finishes the run.

    The lock is taken away, as if the file system had none.
    """
    data, config = open_dataset(data_dir), config_of(data_dir)
    total = undisturbed.state.newest.position.global_step
    for trial in range(20):
        run_dir, at = tmp_path / str(trial), _RANDOM.randrange(1, total)
        locked = trial % 2

        def meanwhile(place, run_dir=run_dir, at=at, locked=locked) -> None:
            if place.global_step != at or (run_dir / "second").exists():
                return
            (run_dir / "second").touch()
            if not locked:
                RunFolder(run_dir).lock_path.unlink()
            sentence = refused(lambda: train(config, run_dir, data))
            assert bool(sentence) == bool(locked), sentence

        hooks = [Do(meanwhile)]
        sentence = refused(lambda run_dir=run_dir, hooks=hooks: train(config, run_dir, data, hooks))
        outcomes.add(sentence)
        assert bool(sentence) != bool(locked)
        run = RunFolder(run_dir)
        assert run.state.finished
        if locked:
            assert_same_run(run, undisturbed)
        else:
            assert [row.loss for row in run.history] == [row.loss for row in undisturbed.history]


def _changed(rng: random.Random, manual_dir: pathlib.Path) -> None:
    """Changes one of the inputs in one of several ways."""
    names, train_file = manual_dir / "category_names.csv", manual_dir / "train.bson"
    header, *rows = CATEGORY_NAMES.splitlines()
    content = train_file.read_bytes()
    change = rng.randrange(5)
    if change == 0:
        names.write_text("\n".join([header, *rows[::-1]]) + "\n")
    elif change == 1:
        names.write_text("\n".join([header, *rows[:-1]]) + "\n")
    elif change == 2:
        train_file.write_bytes(content[: rng.randrange(len(content))])
    elif change == 3:
        place = rng.randrange(len(content))
        train_file.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    else:
        (manual_dir / "new.bson").write_bytes(content)
        os.replace(manual_dir / "new.bson", train_file)


@pytest.mark.parametrize("reread", ["1", "0"], ids=["reread", "merged"])
def test_inputs_that_change_during_a_build(
    reread, manual_dir, data_dir, small_parts, tmp_path, outcomes, monkeypatch
):
    """The data set is that of the files as they were, or there is none."""
    monkeypatch.setenv("CDISCOUNT_REREAD", reread)
    (folder,) = (data_dir / "cdiscount").glob("1.*")
    expected = contents(folder)
    places = [(part_sequence, "make_part"), (shard_writing, "write_shard")]
    for trial in range(20):
        copy = tmp_path / str(trial)
        shutil.copytree(manual_dir, copy / "manual")
        module, function = _RANDOM.choice(places)
        original, left = getattr(module, function), [_RANDOM.randrange(4)]

        def change(task, original=original, left=left, copy=copy):
            left[0] -= 1
            if left[0] == -1:
                _changed(_RANDOM, copy / "manual")
            return original(task)

        built = []
        with monkeypatch.context() as patch:
            patch.setattr(module, function, change)
            sentence = refused(
                lambda copy=copy, to=built: to.append(build(copy / "data", copy / "manual"))
            )
        outcomes.add(sentence)
        assert sentence or contents(built[0]) == expected, trial
        if sentence:
            assert not list((copy / "data" / "cdiscount").glob("1.?.?"))


def test_how_many_trials_there_were(outcomes, capsys):
    """Runs last: nothing was silently different in at least 200 trials."""
    with capsys.disabled():
        print(f"\n{outcomes.total} trials: {outcomes.counts}")
    assert outcomes.total >= 200
    assert min(outcomes.counts.values()) > 20
