import math

import numpy as np
import pytest

from tests.helpers.fake_sources import FakeSource
from tests.helpers.small_data import SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction import likelihood
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.predictor import PredictionError
from trainer.prediction.temperature import (
    calibrate,
    fit_temperature,
    log_loss,
    tempered,
    tempered_batch,
)
from trainer.runs.calibration_file import Calibration


def test_a_temperature_is_a_power():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), 4).astype(np.float32)
    expected = probabilities**0.5 / (probabilities**0.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(tempered(probabilities, 2.0), expected, rtol=1e-5)
    assert tempered(probabilities, 1.0) is probabilities
    for temperature in (0.1, 0.5, 3.0, 20.0):
        assert np.array_equal(
            tempered(probabilities, temperature).argmax(axis=1), probabilities.argmax(axis=1)
        )


def test_the_loss_by_hand():
    logs = np.log(np.array([[0.8, 0.2], [0.5, 0.5]], np.float32))
    assert log_loss(logs, np.array([0, 1]), 1) == pytest.approx(-math.log(0.8 * 0.5) / 2)
    # At temperature 1/2, probabilities are squared: 0.64 and 0.04, of the sum 0.68.
    expected = -math.log(0.64 / 0.68 * 0.5) / 2
    assert log_loss(logs, np.array([0, 1]), 0.5) == pytest.approx(expected)


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_probabilities_is_found(true):
    """Labels are drawn from probabilities, which are then sharpened by `true`."""
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.full(4, 0.5), 20_000)
    classes = (rng.random([20_000, 1]) > np.cumsum(honest, axis=1)).sum(axis=1)
    sharpened = np.log(honest).astype(np.float32) * true
    found = fit_temperature(sharpened, classes)
    assert found == pytest.approx(true, rel=0.03)
    for nearby in (found * 0.99, found * 1.01):
        assert log_loss(sharpened, classes, found) <= log_loss(sharpened, classes, nearby)


def test_two_classes_have_a_closed_form():
    """Three of four right at odds 9: the honest odds are 3, so the temperature is log 9 / log 3."""
    logs = np.log(np.array([[0.9, 0.1]] * 4, np.float32))
    assert fit_temperature(logs, np.array([0, 0, 0, 1])) == pytest.approx(2, rel=1e-3)


def test_products_without_a_picture_keep_the_prior():
    rows = np.array([[0.8, 0.2], [0.7, 0.3]], np.float32)
    batch = ProductBatch(np.array([3, 1]), rows, np.array([1, 0]), np.array([3]), rows[:1])
    calibration = Calibration(2.0, 0.5, "validation", 9, 9, 1.0, 0.9)
    result = tempered_batch(batch, calibration)
    assert result.probabilities[0].tolist() == pytest.approx([2 / 3, 1 / 3])  # odds 2, not 4
    assert np.array_equal(result.probabilities[1], rows[1])
    assert result.picture_probabilities[0].tolist() == pytest.approx([16 / 17, 1 / 17])
    assert np.array_equal(batch.probabilities, rows)  # the batch itself is unchanged


@pytest.fixture
def labelled(tmp_path):
    data = SmallData(tmp_path)
    split = data.add("validation", make_products([0, 0, 0, 0, 1, 2]))
    return LabelledSplit(split, LabelMap(data.categories))


def _source(labelled, counts):
    rows = np.tile([0.9, 0.1, 0, 0, 0, 0], [6, 1])
    return FakeSource(labelled.label_map, rows, np.array(counts))


def test_products_and_pictures_have_their_own_temperature(labelled):
    # By product, 3 of 4 are right; by picture, 9 of 10, as the network says.
    calibration = calibrate(_source(labelled, [3, 3, 3, 0, 1, 0]), labelled)
    assert calibration.product == pytest.approx(2, rel=1e-3)
    assert calibration.picture == pytest.approx(1, rel=1e-3)
    assert (calibration.split, calibration.num_products) == ("validation", 4)
    assert calibration.num_pictures == 10
    assert calibration.loss_before == pytest.approx(-(3 * math.log(0.9) + math.log(0.1)) / 4)
    honest = -(3 * math.log(0.75) + math.log(0.25)) / 4
    assert calibration.loss == pytest.approx(honest, rel=1e-4)


def test_a_sample_is_used_where_all_do_not_fit(labelled, monkeypatch):
    monkeypatch.setattr(likelihood, "MOST_VALUES", 6 * 3 * 2)
    assert calibrate(_source(labelled, [1] * 6), labelled).num_products == 2


def test_products_without_pictures_cannot_calibrate(labelled):
    with pytest.raises(PredictionError, match="'validation' has none"):
        calibrate(_source(labelled, [0] * 6), labelled)
