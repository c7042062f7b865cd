"""Runs in memory that the tests of the service share."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import CSV, SIZE, SmallData, picture
from trainer.models.networks import build_model
from trainer.prediction.loaded_runs import LoadedRuns, load_runs
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection


@pytest.fixture(scope="package")
def data(tmp_path_factory) -> SmallData:
    """Its category names hold HTML."""
    csv = CSV.replace("CRIME", "<img src=x onerror=alert(1)>")
    return SmallData(tmp_path_factory.mktemp("data"), csv)


@pytest.fixture(scope="package")
def run_folder(data, tmp_path_factory):
    """A finished run of an untrained network."""
    network = build_model("logistic", 6, image_size=SIZE, seed=3)
    return write_network_run(tmp_path_factory.mktemp("runs") / "run", data, best=network)


@pytest.fixture(scope="package")
def runs(run_folder) -> LoadedRuns:
    """The same in memory."""
    return load_runs(RunSelection(run_dir=str(run_folder.path)), NetworkOptions(), "arithmetic")


@pytest.fixture(scope="package")
def jpegs() -> list[bytes]:
    """Twelve different pictures."""
    rng = np.random.default_rng(0)
    return [picture(rng, label) for label in [*range(6), *range(6)]]
