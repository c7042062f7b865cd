import dataclasses

import numpy as np
import pytest

from tests.helpers.network_runs import write_network_run, write_state
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.models.networks import build_model
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import PredictionError, Predictor
from trainer.prediction.sources import NetworkSource, RunSource
from trainer.runs.folder import RunFolderError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    data = SmallData(tmp_path / "data")
    data.add("train", make_products([0, 1, 2]))
    data.add("validation", make_products([0, 1, 2, 3], seed=1, first_id=100))
    return data


def _network(seed):
    return build_model("logistic", 6, image_size=SIZE, weights="none", seed=seed)


@pytest.fixture
def run(data, tmp_path):
    return write_network_run(tmp_path / "run", data, best=_network(0))


def test_a_network_and_its_run_predict_the_same(run, data):
    network = NetworkSource(
        Predictor(_network(0), LabelMap(data.categories), image_size=SIZE), 3, mean="max"
    )
    options = PredictionOptions(mean="max", batch_size=3)
    of_run = RunSource(run, data, options, "tf")
    split = data.split("validation")
    for one, other in zip(network.predict(split), of_run.predict(split), strict=True):
        for name, values in vars(one).items():
            assert (values == getattr(other, name)).all()


def test_weights_that_training_replaces_before_the_first_prediction_are_used(run, data):
    source = RunSource(run, data, PredictionOptions(), "tf")
    write_state(run, _network(1), None)
    batches = list(source.predict(data.split("validation")))
    assert source.weights.sha256 == run.state.best.sha256
    again = list(RunSource(run, data, PredictionOptions(), "tf").predict(data.split("validation")))
    for one, other in zip(batches, again, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_weights_that_training_replaces_between_two_splits_are_told(run, data):
    options = PredictionOptions()
    list(RunSource(run, data, options, "tf").predict(data.split("validation")))
    source = RunSource(run, data, options, "tf")
    list(source.predict(data.split("validation")))  # from disk
    write_state(run, _network(1), None)
    with pytest.raises(PredictionError, match="goes on and has replaced those of the kept pred"):
        list(source.predict(data.split("train")))


def test_weights_that_something_depends_on_are_not_exchanged(run, data):
    """A mixture names its members' weights, and a temperature belongs to some, before they load."""
    source = RunSource(run, data, PredictionOptions(), "tf")
    source.hold_weights()
    write_state(run, _network(1), None)
    with pytest.raises(PredictionError, match="All predictions must be of the same weights."):
        list(source.predict(data.split("validation")))


def test_a_run_without_the_checkpoint_says_what_it_lacks(run, data):
    write_state(run, _network(0), None)
    options = dataclasses.replace(PredictionOptions(), checkpoint="last")
    with pytest.raises(RunFolderError, match="no finished epoch yet. Start `python -m trainer.mai"):
        RunSource(run, data, options, "tf")
