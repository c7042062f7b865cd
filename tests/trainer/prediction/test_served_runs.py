import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData
from trainer.models.networks import build_model
from trainer.prediction.mixture_rules import MixtureError
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.saved_model import ServingError
from trainer.prediction.served_runs import load_served
from trainer.runs.calibration_file import CalibratedMethod, Calibration, keep_calibration

PICTURES = tf.zeros([1, SIZE, SIZE, 3], tf.uint8)


@pytest.fixture
def runs(tmp_path):
    data = SmallData(tmp_path)
    return [
        write_network_run(
            tmp_path / name, data, best=build_model("logistic", 6, image_size=SIZE, seed=seed)
        )
        for seed, name in enumerate(("a", "b"))
    ]


def test_a_run_is_served_with_its_temperature(runs):
    run, selection = runs[0], RunSelection(run_dir=str(runs[0].path))
    plain, made_from = load_served(selection, NetworkOptions(), "float32")
    assert made_from == {
        "run": "a",
        "checkpoint": "best",
        "epoch": 0,
        "sha256": run.state.best.sha256,
        "trained_on": None,
        "precision": "float32",
        "flip": False,
        "scales": (1.0,),
        "temperature": None,
    }
    method = CalibratedMethod(run.state.best.sha256, False, (1.0,), "vote")
    keep_calibration(run, method, Calibration(3.0, 2.0, "validation", 9, 9, 1.0, 0.9))
    hot, made_from = load_served(selection, NetworkOptions(), "float32")
    assert made_from["temperature"] == 2.0
    before, after = (
        served.predictors[0].probabilities(PICTURES)[0] ** power
        for served, power in ((plain, 0.5), (hot, 1))
    )
    np.testing.assert_allclose(after, before / before.sum(), rtol=1e-5)
    # It belongs to the picture as it is, not to its mirror image as well.
    _, made_from = load_served(selection, NetworkOptions(flip=True), "float32")
    assert made_from["temperature"] is None


def test_several_runs_are_served_with_their_weights(runs):
    selection = RunSelection(
        run_dirs=",".join(str(run.path) for run in runs), run_weights="1,3", run_mean="geometric"
    )
    served, made_from = load_served(selection, NetworkOptions(), "float32")
    assert (served.weights, served.mean, len(served.predictors)) == ((0.25, 0.75), "geometric", 2)
    assert [(row["run"], row["weight"]) for row in made_from["runs"]] == [("a", 0.25), ("b", 0.75)]
    assert made_from["mean"] == "geometric"


def test_weights_are_not_fitted_for_serving(runs):
    selection = RunSelection(run_dirs=",".join(str(run.path) for run in runs), run_weights="fit")
    with pytest.raises(ServingError, match="must be numbers, .* Received: fit. Name those that"):
        load_served(selection, NetworkOptions(), "float32")


def test_runs_of_other_classes_are_not_served_together(runs, tmp_path):
    write_network_run(tmp_path / "c", SmallData(tmp_path), target="level1")
    with pytest.raises(MixtureError, match="must tell the same classes apart"):
        load_served(
            RunSelection(run_dirs=f"{runs[0].path},{tmp_path}/c"), NetworkOptions(), "float32"
        )
