import dataclasses

import numpy as np
import pytest

from tests.helpers.fake_sources import FakeSource, collected
from tests.helpers.small_data import SmallData, make_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction import likelihood
from trainer.prediction.mixture import MixedSource
from trainer.prediction.predictor import PredictionError
from trainer.prediction.weight_fit import fit_weights

COUNTS = np.array([1, 4, 0, 2, 3, 1])


@pytest.fixture
def split(tmp_path):
    return SmallData(tmp_path).add("validation", make_products([0, 1, 2, 3, 4, 5]))


@pytest.fixture
def label_map(tmp_path, split):
    return LabelMap(SmallData(tmp_path).categories)


def _sources(label_map, number=3, counts=COUNTS, concentration=1.0):
    """Sources whose batches end at different products."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(6, concentration), [number, len(counts)])
    return [FakeSource(label_map, row, counts, batch_size=2 + n) for n, row in enumerate(rows)]


def test_arithmetic_mean_of_runs(split, label_map):
    sources, weights = _sources(label_map), (0.5, 0.3, 0.2)
    batch = collected(MixedSource(sources, weights, "arithmetic").predict(split))
    assert batch.ordinals.tolist() == [0, 1, 3, 4, 5, 2]
    assert batch.num_pictures.tolist() == [1, 4, 2, 3, 1, 0]
    expected = sum(weight * source.rows for weight, source in zip(weights, sources))
    np.testing.assert_allclose(batch.probabilities[:5], expected[batch.ordinals[:5]], rtol=1e-5)
    np.testing.assert_allclose(batch.probabilities[5], [1 / 6] * 6, rtol=1e-6)  # the prior
    np.testing.assert_allclose(
        batch.picture_probabilities, expected[batch.picture_ordinals], rtol=1e-5
    )
    assert batch.picture_ordinals.tolist() == [0, 1, 1, 1, 1, 3, 3, 4, 4, 4, 5]


def test_geometric_mean_of_runs(split, label_map):
    sources, weights = _sources(label_map), (0.5, 0.3, 0.2)
    batch = collected(MixedSource(sources, weights, "geometric").predict(split, np.array([0, 4])))
    logs = sum(weight * np.log(source.rows[[0, 4]]) for weight, source in zip(weights, sources))
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(batch.probabilities, expected, rtol=2e-5)


@pytest.mark.parametrize("counts", [[1, 4, 0, 2, 3, 2], [1, 4, 1, 2, 3, 1], [1, 4, 0, 2, 3, 0]])
def test_runs_that_read_other_pictures_are_not_mixed(split, label_map, counts):
    one, other = _sources(label_map, 2)
    other = dataclasses.replace(other, counts=np.array(counts))
    with pytest.raises(PredictionError, match="must see the same readable pictures"):
        list(MixedSource([one, other], (0.5, 0.5), "arithmetic").predict(split))


@pytest.fixture
def many(tmp_path):
    """240 products; the first run knows two thirds of them, the second the others."""
    labels = np.arange(240) % 6
    data = SmallData(tmp_path)
    labelled = LabelledSplit(
        data.add("validation", make_products(labels)), LabelMap(data.categories)
    )
    truth = np.eye(6)[labels]
    right, wrong = 0.8 * truth + 0.2 / 6, 0.1 * truth + 0.9 / 6
    known = (np.arange(240) % 3 > 0)[:, None]
    counts = np.ones(240, int)
    rows = (np.where(known, right, wrong), np.where(known, wrong, right), np.roll(right, 1, axis=1))
    return labelled, [FakeSource(labelled.label_map, row, counts, 50) for row in rows]


def _loss(sources, labels, weights, mean):
    """Mean of -log(probability of the true class) of a mixture, without the code under test."""
    parts = np.stack([source.rows for source in sources])
    if mean == "arithmetic":
        mixed = np.tensordot(weights, parts, 1)
    else:
        mixed = np.exp(np.tensordot(weights, np.log(parts), 1))
        mixed /= mixed.sum(axis=1, keepdims=True)
    return -np.log(mixed[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_fitted_weights_have_the_lowest_loss(many, mean):
    labelled, sources = many
    weights, fit = fit_weights(sources, labelled, mean)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2]
    assert weights[2] < 1e-3  # the third run is always wrong
    labels = labelled.classes
    best = _loss(sources, labels, np.array(weights), mean)
    assert fit.loss == pytest.approx(best, rel=1e-4)
    assert fit.loss_of_equal_weights == pytest.approx(
        _loss(sources, labels, np.full(3, 1 / 3), mean), rel=1e-4
    )
    assert (fit.split, fit.num_products) == ("validation", 240)
    grid = [
        _loss(sources, labels, np.array([a, b, 1 - a - b]), mean)
        for a in np.linspace(0, 1, 41)
        for b in np.linspace(0, 1 - a, 41)
    ]
    assert best <= min(grid) + 1e-5
    assert fit_weights(sources, labelled, mean) == (weights, fit)  # deterministic


def test_geometric_weights_are_fitted_on_a_sample_that_fits(many, monkeypatch):
    labelled, sources = many
    monkeypatch.setattr(likelihood, "MOST_VALUES", 100 * 6 * 3)
    _, fit = fit_weights(sources, labelled, "geometric")
    assert fit.num_products == 100
    _, fit = fit_weights(sources, labelled, "arithmetic")
    assert fit.num_products == 240
    drawn = likelihood.sampled_products(labelled, 3)
    assert np.array_equal(drawn, np.unique(drawn)) and drawn[0] < 24 and drawn[-1] > 215
