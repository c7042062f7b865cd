"""A run, its data set and what is made of it on `ram://` equal those on a disk, bit for bit."""

import json

import pytest
import tensorflow_datasets as tfds

from cdisc_tfds.storage import copy_tree, path_of
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import small_config
from trainer.data.dataset import DatasetError, open_dataset
from trainer.prediction.evaluation import evaluate_run, write_result
from trainer.prediction.options import PredictionOptions
from trainer.prediction.submission import submit
from trainer.runs.checkpoint import sha256_of
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.folder import RunFolderError
from trainer.terminal.option import options
from trainer.training.train import train

CONFIG = small_config(
    train_split="train[:75%]", validation_split="train[75%:]", epochs=1, checkpoint_steps=1
)


@pytest.fixture
def places(competition, tmp_path, ram):
    """The folders of a data set and of its copy on the storage."""
    builder = tfds.builder("cdiscount", data_dir=tmp_path / "data")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=competition)
    )
    copy_tree(tmp_path / "data", ram / "data")
    return tmp_path, ram


def killed_and_finished(place):
    """Trains; the first time, an error ends a checkpoint between its objects."""
    data, replaced = open_dataset(place / "data"), []
    replace = CheckpointStore._replace

    def third(store, path, content):
        replaced.append(path.name)
        if len(replaced) == 3:
            raise Killed
        replace(store, path, content)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(CheckpointStore, "_replace", third)
        train(CONFIG, place / "run", data)
    assert replaced == ["state.json", "state.previous.json", "state.json"]
    return train(CONFIG, place / "run", data)


def made(place, run):
    """The evaluation and the submission of a run, and the facts beside them."""
    how = PredictionOptions(data_dir=str(place / "data"))
    evaluation = write_result(run.path, evaluate_run(run.path, options=how))
    output = place / "submission.csv.gz"
    submit(run.path, str(output), options=how)
    facts = json.loads((place / "submission.csv.gz.made_from.json").read_text())
    return evaluation.read_bytes(), sha256_of(output), facts


def test_a_killed_run_ends_bit_for_bit_as_one_on_a_disk(places):
    disk, storage = places
    local = train(CONFIG, disk / "run", open_dataset(disk / "data"))
    run = killed_and_finished(storage)
    assert str(run.path) == f"{storage}/run"
    assert_same_run(run, local)
    named = {file.file for entry in run.state.entries for file in entry.files}
    assert {path.name for path in run.checkpoints.iterdir()} == named  # nothing is left over
    assert made(storage, run) == made(disk, local)
    for place in (run, local):  # the validation's predictions and the test products'
        assert len(list(place.predictions.rglob("index.json"))) == 2


def test_one_process_at_a_time_trains_there(places):
    _, storage = places
    data, refused = open_dataset(storage / "data"), []

    class Second(KillAt):
        def before_step(self, place):
            with pytest.raises(RunFolderError, match="Another one is training in ram://"):
                train(CONFIG, storage / "run", data)
            refused.append(True)
            super().before_step(place)

    with pytest.raises(Killed):
        train(CONFIG, storage / "run", data, [Second(1)])
    assert refused


def test_a_data_set_without_its_last_object_is_none(places):
    _, storage = places
    (storage / "data" / "cdiscount" / "1.0.0" / "dataset_info.json").unlink()
    with pytest.raises(DatasetError, match=f"{storage}/data/cdiscount holds no finished version"):
        open_dataset(storage / "data")


def test_a_shard_that_was_cut_short_is_named(places):
    _, storage = places
    shard = next((storage / "data" / "cdiscount" / "1.0.0").glob("*train.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=f"The shard {shard} must have .* bytes. Received"):
        open_dataset(storage / "data").split("train")


def test_flags_let_addresses_through():
    data_dir = options(PredictionOptions)["data_dir"]
    assert data_dir.parse("gs://bucket/data") == "gs://bucket/data"
    assert str(path_of("ram://b/data/")) == "ram://b/data"
