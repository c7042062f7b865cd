import numpy as np
import pytest

from trainer.prediction.simplex import minimise_on_simplex


def test_a_minimum_inside():
    target = np.array([0.2, 0.5, 0.3])
    weights = minimise_on_simplex(lambda w: (((w - target) ** 2).sum(), 2 * (w - target)), 3)
    np.testing.assert_allclose(weights, target, atol=1e-3)
    assert weights.sum() == pytest.approx(1)


def test_a_minimum_in_a_corner():
    gradient = np.array([1.0, -1.0])
    weights = minimise_on_simplex(lambda w: (w @ gradient, gradient), 2)
    np.testing.assert_allclose(weights, [0, 1], atol=1e-6)


def test_a_minimum_on_an_edge():
    target = np.array([0.7, 0.6, -0.3])  # the nearest point with weights of at least 0
    weights = minimise_on_simplex(lambda w: (((w - target) ** 2).sum(), 2 * (w - target)), 3)
    np.testing.assert_allclose(weights, [0.55, 0.45, 0], atol=2e-3)


def test_equal_functions_keep_equal_weights():
    weights = minimise_on_simplex(lambda w: (0.0, np.zeros(4)), 4)
    assert weights.tolist() == [0.25] * 4
