"""Runs that begin with weights from a file: what is left after the start does not need them."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from tests.helpers.finished_runs import assert_same_run
from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.models.efficientnet_lite import weights_path
from trainer.models.network_table import MODELS
from trainer.training.train import train

pytestmark = pytest.mark.torture  # each run traces a network of a hundred layers


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("train", make_products(np.arange(12) % 6))
    data.add("validation", make_products(np.arange(6) % 6, seed=1, first_id=1000))
    return data


def _write_weights(name, folder):
    if name == "mobilenet":
        path = folder / "base.weights.h5"
        keras.applications.MobileNet(include_top=False, weights=None).save_weights(path)
        return path
    published = weights_path(MODELS[name].base, "imagenet")
    return pathlib.Path(shutil.copy(published, folder))


@pytest.mark.parametrize("name", ["mobilenet", "efficientnet_lite0"])
def test_a_killed_run_ends_as_the_undisturbed(data, tmp_path, name):
    weights = _write_weights(name, tmp_path)
    config = small_config(
        model=name,
        weights=str(weights),
        image_size=32,
        input_range=MODELS[name].input_range,
        epochs=2,
        batch_size=8,
        checkpoint_steps=2,
        dropout=0.2,
    )

    def run(folder, **changes):
        keras.backend.clear_session()  # as in a process of its own
        return train(config, tmp_path / folder, data, **changes)

    undisturbed = run("undisturbed")
    with pytest.raises(Killed):
        run("run", hooks=[KillAt(4)])
    weights.unlink()  # a run that was begun needs them no longer
    assert_same_run(run("run"), undisturbed)
