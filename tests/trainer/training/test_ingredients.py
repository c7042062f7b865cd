"""The ingredients of training: each has an effect, and a run with all of them resumes exactly."""

import dataclasses
import shutil

import numpy as np
import pytest

from cdisc_tfds.records import Product
from tests.helpers import tiny_pretrained
from tests.helpers.finished_runs import assert_same_run, weights_of
from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.runs.folder import RunFolder, RunFolderError, settings_digest
from trainer.settings.config import Config, ConfigError
from trainer.training import recalibration
from trainer.training.train import train

EVERYTHING = {
    "zoom": (0.75, 1.15),
    "rotate": 10.0,
    "colour": 0.2,
    "rand_augment": 1,
    "erase": 0.3,
    "mixup": 0.2,
    "cutmix": 1.0,
    "micro_batch": 5,
    "clip_norm": 0.5,
    "batch_norm_momentum": 0.5,
    "recalibrate": 2,
    "level1_weight": 0.2,
    "level2_weight": 0.1,
    "class_balance": 0.5,
    "sampling_balance": 0.5,
    "layer_decay": 0.5,
    "train_sizes": (9, 16),
    "distinct_epochs": 1,
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    tiny_pretrained.add_to_models(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    # The classes differ in size, so that balancing them has an effect.
    products = make_products([0, 0, 0, 1, 1, 2, 3, 4, 5, 0, 1, 0])
    # A picture that is there twice.
    products[1] = Product(products[1].product_id, [*products[1].images, products[0].images[0]], 0)
    data.add("train", products)
    data.add("validation", make_products(np.arange(6), seed=1, first_id=1000))
    return data


def _config(**changes) -> Config:
    values = {"model": "tiny", "augment": "flip_shift", "dropout": 0.3, "checkpoint_steps": 2}
    return small_config(**values | changes)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        tiny_pretrained.add_to_models(patch)
        return train(_config(), tmp_path_factory.mktemp("runs") / "plain", data)


def last_weights(run: RunFolder) -> list[np.ndarray]:
    return list(weights_of(run, run.state.newest.last).values())


# One of each kind in the short tests.
_QUICK = ("mixup", "micro_batch", "recalibrate", "level1_weight", "layer_decay", "sampling_balance")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in _QUICK else pytest.mark.torture)
        for name in [*EVERYTHING, "batch_norm"]
    ],
)
def test_each_ingredient_alone_has_an_effect(data, plain, tmp_path, name):
    value = "frozen" if name == "batch_norm" else EVERYTHING[name]
    run = train(_config(**{name: value}), tmp_path / "run", data)
    assert any(
        not np.array_equal(ours, theirs)
        for ours, theirs in zip(last_weights(run), last_weights(plain), strict=True)
    )


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        tiny_pretrained.add_to_models(patch)
        config = _config(**EVERYTHING, epochs=2, ema_momentum=0.9, label_smoothing=0.1)
        return train(config, tmp_path_factory.mktemp("runs") / "undisturbed", data)


@pytest.mark.torture
@pytest.mark.parametrize("call", [pytest.param(3, marks=pytest.mark.torture), 6])
def test_a_killed_run_with_all_of_them_ends_bit_for_bit(data, undisturbed, tmp_path, call):
    with pytest.raises(Killed):
        train(undisturbed.config, tmp_path / "run", data, hooks=[KillAt(call)])
    assert_same_run(train(undisturbed.config, tmp_path / "run", data), undisturbed)


def test_so_does_one_that_was_killed_while_it_recalibrated(
    data, undisturbed, tmp_path, monkeypatch
):
    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(recalibration, "_mean_statistics", die)
        train(undisturbed.config, tmp_path / "run", data)
    assert_same_run(train(undisturbed.config, tmp_path / "run", data), undisturbed)


def test_a_level_that_the_classes_do_not_belong_to_is_refused(data, tmp_path):
    for target, level in (("level1", "level1"), ("level1", "level2"), ("level2", "level2")):
        config = _config(target=target, **{f"{level}_weight": 0.1})
        with pytest.raises(ConfigError) as error:
            train(config, tmp_path / f"{target}-{level}", data)
        assert str(error.value) == (
            f"--{level}_weight needs classes below {level}: it learns their names of {level} as "
            f"well. Received: --target={target}. Leave it out."
        )


# The digest of a run's settings.

# Of `small_config()` by version 0.2.0.
DIGEST_0_2 = "a94d52d282282fef4c634cf11f8b1f412a6e3eae1a7b1c18f1da6ba23dc3acbb"


def test_a_new_setting_at_its_default_does_not_change_the_digest():
    assert settings_digest(small_config()) == DIGEST_0_2
    for name, value in EVERYTHING.items():
        assert settings_digest(small_config(**{name: value})) != DIGEST_0_2, name


def test_an_edited_new_setting_is_noticed(plain, tmp_path):
    shutil.copytree(plain.path, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    edited = dataclasses.replace(plain.config, mixup=0.4)
    run.config_path.write_text(edited.to_json())
    with pytest.raises(RunFolderError, match="the file was edited"):
        _ = run.config
