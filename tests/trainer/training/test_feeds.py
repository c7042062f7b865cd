"""The head stage on cached features: a run like any other, with the base computed once."""

import pathlib
import signal

import numpy as np
import pytest

from tests.helpers.decoded_pictures import count_decoded
from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from tests.helpers.tiny_pretrained import NAME, add_to_models
from trainer.data.labelled_split import LabelledSplit
from trainer.models.networks import build_model
from trainer.prediction.validation import Validator
from trainer.runs import picture_files
from trainer.terminal.command import Preempted
from trainer.terminal.signals import StopFlag
from trainer.training import feature_store, trained_network
from trainer.training.feeds import FeatureFeed
from trainer.training.hooks import Hook
from trainer.training.train import train


@pytest.fixture(scope="module", autouse=True)
def small_world():
    """A network with a base that is built in a second, and small files of features."""
    with pytest.MonkeyPatch.context() as patch:
        add_to_models(patch)
        patch.setattr(feature_store, "_BATCH_SIZE", 8)
        patch.setattr(feature_store, "_PICTURES_PER_FILE", 16)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    products = make_products(np.arange(40) % 6)
    products[3].images[0] = b"\xff\xd8\xff no picture"
    data.add("train", products)
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    return data


def _config(**changes):
    values = {
        "model": NAME,
        "trainable": "staged",
        "head_epochs": 3,
        "epochs": 4,
        "augment": "flip_shift",
        "dropout": 0.3,
        "batch_size": 8,
        "learning_rate": 0.01,
        "log_every_steps": 2,
        "checkpoint_steps": 3,
        "ema_momentum": 0.9,
    }
    return small_config(**values | changes)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return train(_config(), tmp_path_factory.mktemp("runs") / "undisturbed", data)


def test_the_base_sees_each_picture_once(data, tmp_path, monkeypatch):
    decoded = count_decoded(monkeypatch)
    run = train(_config(epochs=3), tmp_path / "run", data)
    assert decoded == {
        "train": data.split("train").num_pictures - 1,
        "validation": data.split("validation").num_pictures,
    }
    history = run.history
    assert [row.stage for row in history] == ["head"] * 3
    assert history[-1].val_loss < history[0].val_loss
    assert (tmp_path / ".features").is_dir()
    # Another run on the same base and data; in a folder where others' features are.
    train(_config(epochs=3, optimizer="sgd"), tmp_path / "other", data)
    assert sum(decoded.values()) == sum(
        (data.split("train").num_pictures - 1, data.split("validation").num_pictures)
    )


def test_validation_is_that_of_the_whole_network(data, tmp_path):
    """Pictures through the network that was saved give what features gave."""
    config = _config(epochs=3, trainable="head")
    run = train(config, tmp_path / "cached", data)
    model = build_model(NAME, run.label_map.num_classes, 16, (0.0, 1.0), "none", 0.3)
    model.load_weights(run.checkpoints / run.state.last.file)
    labelled = LabelledSplit(data.split("validation"), run.label_map)
    found = Validator(model, run.label_map, config).validate(labelled)
    row = run.history[-1]
    assert found.loss == pytest.approx(row.val_loss, rel=1e-5)
    assert found.product_accuracy == row.val_product_accuracy


def test_learns_as_without_the_cache(data, tmp_path):
    config = _config(trainable="head", epochs=6, augment="none", dropout=0.0)
    cached = train(config, tmp_path / "cached", data).history
    plain = train(
        _config(trainable="head", epochs=6, augment="none", dropout=0.0, cache_features=False),
        tmp_path / "plain",
        data,
    ).history
    # Other orders of the same pictures.
    assert cached[-1].val_loss == pytest.approx(plain[-1].val_loss, rel=0.1)
    assert cached[0].loss == pytest.approx(plain[0].loss, rel=0.1)


def _kill(monkeypatch, owner, name, call):
    calls = [0]
    original = getattr(owner, name)

    def killed(*arguments, **keywords):
        calls[0] += 1
        if calls[0] == call:
            raise Killed
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, killed)


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (picture_files, "write_arrays", 2),
        (Hook, "before_step", 2),
        (Hook, "before_step", 17),
        (FeatureFeed, "validate", 2),
        (trained_network, "set_trainable", 2),
        (Hook, "before_step", 42),
    ],
    ids=["features", "first epoch", "second epoch", "validation", "between stages", "top blocks"],
)
def test_killed_runs_end_as_the_undisturbed(
    data, undisturbed, tmp_path, monkeypatch, owner, name, call
):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        _kill(patch, owner, name, call)
        train(_config(), tmp_path / "run", data, hooks=[Hook()])
    assert_same_run(train(_config(), tmp_path / "run", data), undisturbed)


def test_sigterm_while_features_are_computed(data, undisturbed, tmp_path, monkeypatch):
    original = StopFlag.check
    calls = [0]

    def check(self):
        calls[0] += 1
        if calls[0] == 4:
            self.signal = signal.SIGTERM
        original(self)

    with monkeypatch.context() as patch, pytest.raises(Preempted, match="epoch 1, step 0"):
        patch.setattr(StopFlag, "check", check)
        train(_config(), tmp_path / "run", data)
    finished = list(pathlib.Path(tmp_path / ".features").glob("*/*.npy"))
    assert len(finished) == 2
    assert_same_run(train(_config(), tmp_path / "run", data), undisturbed)
