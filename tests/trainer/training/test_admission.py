"""Who may train in a folder, and on what."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.killing import Do, KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.state import Checkpoint, CheckpointFile
from trainer.settings.config import ConfigError
from trainer.training.admission import require_same_machines, sole_writer
from trainer.training.train import train

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path):
    return _data(tmp_path / "data")


def _data(folder, first_id=1):
    folder.mkdir()
    data = SmallData(folder)
    data.add("train", make_products([0, 1, 2, 3] * 4, first_id=first_id))
    data.add("validation", make_products([0, 1, 2, 3], seed=1, first_id=1000))
    return data


def test_only_one_trains_in_a_folder(data, tmp_path):
    refused = []

    def second(place) -> None:
        if not refused:
            with pytest.raises(RunFolderError, match="Another one is training in .*run") as error:
                train(small_config(), tmp_path / "run", data)
            refused.append(error)

    run = train(small_config(), tmp_path / "run", data, hooks=[Do(second)])
    assert refused and run.state.finished
    assert not run.lock_path.exists()


@pytest.mark.parametrize("run_dir", ["file", "file/run"])
def test_a_folder_that_cannot_be_written_to_is_refused(data, tmp_path, run_dir):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="--run_dir must be a folder that can be written to"):
        train(small_config(), tmp_path / run_dir, data)


def test_a_lock_ends_with_its_process(data, tmp_path):
    run = RunFolder(tmp_path / "run")
    code = (
        "import os, signal, sys; from trainer.runs.folder import RunFolder\n"
        "from trainer.training.admission import sole_writer\n"
        "with sole_writer(RunFolder(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(run.path)], cwd=ROOT, check=False)
    assert run.lock_path.exists()
    with sole_writer(run):
        pass


def test_a_suspended_trainer_does_not_overwrite_who_went_on(data, tmp_path):
    """As on a file system without locks, where both believe to be alone."""
    config, run, left = small_config(epochs=2), RunFolder(tmp_path / "run"), {}

    def files() -> dict[pathlib.Path, tuple[int, bytes]]:
        found = (path for path in run.path.rglob("*") if path.is_file())
        return {path: (path.stat().st_ino, path.read_bytes()) for path in found}

    def finish_elsewhere(place) -> None:
        if not left and place.epoch == 1 and place.step == 1:
            # The lock is on the file: who removes it lets another one in.
            run.lock_path.unlink()
            train(config, run.path, data)
            left.update(files())

    with pytest.raises(RunFolderError, match="another one has continued the run"):
        train(config, run.path, data, hooks=[Do(finish_elsewhere)])
    assert run.state.finished and run.state.newest.position.epoch == 2
    assert files() == left  # also the weights of the same epoch, and the curves


def test_a_run_goes_on_with_the_products_that_it_was_begun_on(data, tmp_path):
    with pytest.raises(Killed):
        train(small_config(epochs=2, checkpoint_steps=1), tmp_path / "run", data, [KillAt(4)])
    other = _data(tmp_path / "other", first_id=500)
    with pytest.raises(
        DatasetError, match="begun on a data set that has other .* in --train_split"
    ):
        train(small_config(epochs=2, checkpoint_steps=1), tmp_path / "run", other)
    moved = _data(tmp_path / "moved")  # the same products, elsewhere
    assert train(small_config(epochs=2, checkpoint_steps=1), tmp_path / "run", moved).state.finished


def test_settings_are_compared_whatever_is_lost(data, tmp_path):
    with pytest.raises(Killed):
        train(small_config(checkpoint_steps=1), tmp_path / "run", data, [KillAt(3)])
    run = RunFolder(tmp_path / "run")
    run.label_map_path.unlink()
    changed = small_config(checkpoint_steps=1, learning_rate=0.5)
    with pytest.raises(ConfigError, match="--learning_rate: the run has 0.01, received 0.5"):
        train(changed, run.path, data)
    values = json.loads(run.config_path.read_text())
    run.config_path.write_text(json.dumps(values | {"learning_rate": 0.5}))
    with pytest.raises(RunFolderError, match="does not hold the settings that this run was traine"):
        train(changed, run.path, data)


def test_lost_settings_are_those_of_the_state(data, tmp_path):
    config = small_config(epochs=2, checkpoint_steps=1)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", data, [KillAt(4)])
    run = RunFolder(tmp_path / "run")
    settings = run.config_path.read_text()
    run.config_path.unlink()
    changed = dataclasses.replace(config, learning_rate=0.5)
    with pytest.raises(ConfigError, match="config.json is missing, and the given settings are not"):
        train(changed, run.path, data)
    assert not run.config_path.exists()
    assert train(config, run.path, data).state.finished
    assert run.config_path.read_text() == settings


def test_lost_categories_are_named(data, tmp_path):
    run = train(small_config(), tmp_path / "run", data)
    run.categories_path.unlink()
    with pytest.raises(RunFolderError, match="category_names.csv must hold .* missing. Copy it"):
        train(small_config(epochs=2), run.path, data)


def _as_version_0_1(run: RunFolder) -> None:
    """Rewrites config and state as that version wrote them."""
    config = json.loads(run.config_path.read_text())
    del config["format"]
    run.config_path.write_text(json.dumps(config))
    content = json.loads(run.state_path.read_text())
    entries = [entry | entry.pop("position") for entry in content["entries"]]
    run.state_path.write_text(json.dumps({"entries": entries}))


def test_a_run_of_version_0_1_goes_on(data, tmp_path):
    config = small_config(epochs=2, checkpoint_steps=1)
    whole = train(config, tmp_path / "whole", data)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", data, [KillAt(4)])
    _as_version_0_1(RunFolder(tmp_path / "run"))
    run = train(config, tmp_path / "run", data)
    assert run.state.format == 2 and run.state.data is not None
    assert [row.loss for row in run.history] == [row.loss for row in whole.history]


def test_averages_of_version_0_1_are_refused(data, tmp_path):
    config = small_config(checkpoint_steps=1, ema_momentum=0.5)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", data, [KillAt(3)])
    _as_version_0_1(RunFolder(tmp_path / "run"))
    with pytest.raises(RunFolderError, match="begun by version 0.1 .* with --ema_momentum"):
        train(config, tmp_path / "run", data)
    plain = dataclasses.replace(config, ema_momentum=0.0)
    with pytest.raises(ConfigError, match="--ema_momentum: the run has 0.5, received 0.0"):
        train(plain, tmp_path / "run", data)


def test_another_number_of_machines_must_be_allowed(tmp_path, caplog):
    run, begun = RunFolder(tmp_path), Checkpoint(training_state=CheckpointFile("a", "b"), workers=2)
    require_same_machines(run, small_config(), begun, 2)
    require_same_machines(run, small_config(), Checkpoint(workers=2), 1)  # nothing is trained yet
    with pytest.raises(ConfigError, match="was trained on 2 so far, and is to go on with 1"):
        require_same_machines(run, small_config(), begun, 1)
    require_same_machines(run, small_config(allow_other_machines=True), begun, 1)
    assert "goes on with 1 machines, after 2" in caplog.text
