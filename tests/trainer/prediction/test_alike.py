"""Workers that would predict differently are refused, and named."""

import numpy as np
import pytest

from tests.helpers.small_data import SmallData, make_products
from tests.helpers.thread_workers import together
from trainer.cluster.workers import ALONE, WorkersError
from trainer.prediction.alike import require_alike
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import PredictionError
from trainer.prediction.run_selection import RunSelection


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    data.add("test", make_products(np.arange(6)))
    other = SmallData(tmp_path_factory.mktemp("other"))
    other.add("test", make_products(np.arange(6), first_id=100))
    return data.split("test"), other.split("test")


def tried(*of_workers):
    """What each worker says; arguments (options, split, other flags) for each."""

    def do(workers):
        how, split, others = of_workers[workers.this.index]
        require_alike(workers, RunSelection(run_dir="runs/a"), how, (), split, **others)

    return together(len(of_workers), do)


def test_what_is_alike_passes(splits):
    """Each may find the data elsewhere."""
    here, there = PredictionOptions(data_dir="here"), PredictionOptions(data_dir="there")
    others = {"calibrate": True}
    assert tried((here, splits[0], others), (there, splits[0], others)) == [None, None]


@pytest.mark.parametrize(
    ("changes", "own", "text"),
    [
        ({"flip": True}, {}, "worker 1 has --flip=True, worker 0 has False"),
        ({}, {"calibrate": True}, "worker 1 has --calibrate=True, worker 0 has None"),
    ],
)
def test_other_flags_are_named(splits, changes, own, text):
    same = (PredictionOptions(), splits[0], {})
    other = (PredictionOptions(**changes), splits[0], own)
    for error in tried(same, other):
        assert isinstance(error, WorkersError) and text in str(error)


def test_other_products_are_named(splits):
    for error in tried((PredictionOptions(), splits[0], {}), (PredictionOptions(), splits[1], {})):
        assert isinstance(error, WorkersError)
        assert "worker 1 has the products of test=" in str(error)


def test_they_share_what_is_kept(splits):
    how = PredictionOptions(keep_predictions=False)
    for error in tried((how, splits[0], {}), (how, splits[0], {})):
        assert isinstance(error, PredictionError)
        assert "Received: --nokeep_predictions." in str(error)
    require_alike(ALONE, RunSelection(run_dir="runs/a"), how, (), splits[0])
