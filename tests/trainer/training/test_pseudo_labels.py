"""Pseudo labels: which products get them, what they do, and that runs with them resume exactly."""

import dataclasses
import os
import signal

import numpy as np
import pytest

from cdisc_tfds.built_dataset import DatasetError
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import Do, KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.settings.config import ConfigError
from trainer.settings.resolve import resolve
from trainer.settings.settings import Settings
from trainer.terminal.command import Preempted
from trainer.training import pseudo_labels
from trainer.training.epoch_splits import EpochSplits
from trainer.training.pseudo_labels import surest
from trainer.training.train import train
from trainer.training.two_stage import TwoStageError, stage_configs

UNLABELLED = [0, 1, 2, 3, 4, 5, 0, 1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(24) % 6))
    data.add("validation", make_products(np.arange(6), seed=1, first_id=1000))
    data.add("spare", make_products(UNLABELLED, seed=2, first_id=11))
    data.add("test", make_products(UNLABELLED, seed=2, first_id=11, unlabelled=True))
    return data


def _config(**changes):
    values = {
        "epochs": 3,
        "learning_rate": 0.1,
        "pseudo_label_split": "test",
        "pseudo_label_after": 1,
        "pseudo_label_share": 0.7,
        "checkpoint_steps": 2,
    }
    return small_config(**values | changes)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return train(_config(), tmp_path_factory.mktemp("runs") / "undisturbed", data)


def pictures_of(data, run_dir, config):
    """How many pictures each epoch shows."""
    places = {}
    train(config, run_dir, data, hooks=[Do(lambda place: places.update({place.epoch: place}))])
    return {epoch: place.total_pictures for epoch, place in places.items()}


def test_the_surest_products_are_chosen_until_the_pictures_are_enough():
    sureness = np.array([0.5, 0.9, 0.0, 0.9, 0.7], np.float32)
    num_pictures = np.array([1, 2, 1, 3, 4])
    assert surest(sureness, num_pictures, 5).tolist() == [False, True, False, True, False]
    assert surest(sureness, num_pictures, 4).tolist() == [False, True, False, False, False]
    assert surest(sureness, num_pictures, 100).tolist() == [True, True, False, True, True]


def test_epochs_show_the_chosen_pictures_beside_the_labelled_ones(data, tmp_path):
    pictures = pictures_of(data, tmp_path / "run", _config())
    labelled, unlabelled = (data.split(name).num_pictures for name in ("train", "test"))
    assert pictures[0] == labelled
    for epoch in (1, 2):
        # A product's pictures stay together: up to three of the share can remain.
        assert 0 <= labelled + 0.7 * unlabelled - pictures[epoch] < 4


def test_products_learn_the_networks_own_guesses_and_not_their_labels(data, monkeypatch):
    label_map = LabelMap(data.categories)
    guesses = np.array([5, 4, 3, 2, 1, 0, 5, 4], np.int32)
    sureness = np.linspace(0.9, 0.2, len(guesses)).astype(np.float32)
    monkeypatch.setattr(
        pseudo_labels.PseudoLabels, "_guesses", lambda *_: (guesses, sureness), raising=True
    )
    config = _config(pseudo_label_split="spare", pseudo_label_share=1.0)
    splits = EpochSplits(config, data, label_map)
    splits.pseudo_labels.renew(None, lambda: None)
    joined = splits.pair(1)[0]
    at = {number: place for place, number in enumerate(joined.split.index.product_id)}
    spare = data.split("spare").index.product_id
    assert [joined.classes[at[number]] for number in spare] == guesses.tolist()
    plain = LabelledSplit(data.split("train"), label_map)
    ids = plain.split.index.product_id
    assert [joined.classes[at[number]] for number in ids] == plain.classes.tolist()
    assert splits.pair(0)[0].split.spec == "train"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(5, marks=pytest.mark.torture),
        9,
        pytest.param(12, marks=pytest.mark.torture),
        14,
    ],
)
def test_a_killed_run_ends_bit_for_bit(data, undisturbed, tmp_path, call):
    with pytest.raises(Killed):
        train(_config(), tmp_path / "run", data, hooks=[KillAt(call)])
    assert_same_run(train(_config(), tmp_path / "run", data), undisturbed)


def test_a_signal_while_it_labels_stops_it_at_the_epochs_start(
    data, undisturbed, tmp_path, monkeypatch
):
    def interrupted(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGTERM)
        yield from whole(*arguments, **settings)

    whole = pseudo_labels.predict_products
    with monkeypatch.context() as patch, pytest.raises(Preempted, match="epoch 2, step 0"):
        patch.setattr(pseudo_labels, "predict_products", interrupted)
        train(_config(), tmp_path / "run", data)
    assert_same_run(train(_config(), tmp_path / "run", data), undisturbed)


def test_the_schedule_ends_with_the_run(data, tmp_path):
    config = _config(schedule="cosine", pseudo_label_share=1.0)
    run = train(config, tmp_path / "run", data)
    assert run.history[-1].learning_rate == pytest.approx(0.0, abs=1e-3)


def test_other_products_on_resume_are_refused(data, tmp_path):
    with pytest.raises(Killed):
        train(_config(), tmp_path / "run", data, hooks=[KillAt(5)])
    other = SmallData(tmp_path)
    for name in ("train", "validation"):
        other.splits[name] = data.splits[name]
    other.add("test", make_products(UNLABELLED[:-1], seed=3, first_id=11, unlabelled=True))
    with pytest.raises(DatasetError, match="other"):
        train(_config(), tmp_path / "run", other)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_split_may_share_no_products_with_the_others(data, split):
    with pytest.raises(DatasetError, match="share"):
        EpochSplits(_config(pseudo_label_split=split), data, LabelMap(data.categories))


@pytest.mark.parametrize(
    "changes", [{"chunks": (("train", "validation"),) * 2}, {"within_level1": 0}]
)
def test_runs_without_a_place_for_them_are_refused(data, changes):
    config = _config(**changes)
    label_map = LabelMap(data.categories, within_level1=config.within_level1)
    with pytest.raises(ConfigError, match="--pseudo_label_split is for runs"):
        EpochSplits(config, data, label_map)


def test_they_begin_after_half_of_the_epochs(data):
    settings = Settings.of(epochs=9, pseudo_label_split="test")
    begun = resolve(settings, data)
    assert begun.pseudo_label_after == 4
    longer = resolve(dataclasses.replace(settings, epochs=20), data, begun)
    assert longer.pseudo_label_after == 4
    assert resolve(Settings.of(epochs=9), data).pseudo_label_after is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pseudo_label_after": 3, "epochs": 3}, "less than --epochs.*3 of 3"),
        ({"epochs": 1}, "less than --epochs.*1 of 1"),
        ({"epochs": 4, "distinct_epochs": 3}, "at most --pseudo_label_after.*3 and 2"),
        ({"pseudo_label_share": 0.0}, "--pseudo_label_share must be"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(data, values, message):
    with pytest.raises(ConfigError, match=message):
        resolve(Settings.of(pseudo_label_split="test", **values), data)


def test_a_two_stage_run_has_none(data):
    with pytest.raises(TwoStageError, match="no pseudo labels"):
        stage_configs(Settings.of(pseudo_label_split="test"), data)
