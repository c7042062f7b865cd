"""The loss of a batch: several labels, weights of classes, levels."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.models.objective import Objective

LOGITS = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
LABELS = np.array([0, 2, 1, 1], np.int32)


def crossentropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shifted = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -shifted[np.arange(len(labels)), labels]


def loss(objective: Objective, labels, *outputs, weights=None) -> float:
    tensors = [tf.constant(one) for one in outputs]
    weights = None if weights is None else tf.constant(weights, tf.float32)
    return float(objective(tf.constant(labels), tensors, weights))


def test_mean_crossentropy():
    expected = crossentropy(LOGITS, LABELS).mean()
    assert loss(Objective(), LABELS, LOGITS) == pytest.approx(expected, rel=1e-6)


def test_two_labels_count_by_their_shares():
    pairs = np.stack([LABELS, LABELS[::-1]], axis=1)
    shares = np.array([[0.7, 0.3], [1, 0], [0.5, 0.5], [0.9, 0.1]])
    expected = (
        shares[:, 0] * crossentropy(LOGITS, LABELS)
        + shares[:, 1] * crossentropy(LOGITS, LABELS[::-1])
    ).mean()
    actual = loss(Objective(), pairs, LOGITS, weights=shares)
    assert actual == pytest.approx(expected, rel=1e-6)


def test_class_weights_multiply_the_other_weights():
    by_class = np.array([2.0, 0.5, 1.0], np.float32)
    objective = Objective(class_weights=by_class)
    each = crossentropy(LOGITS, LABELS) * by_class[LABELS]
    assert loss(objective, LABELS, LOGITS) == pytest.approx(each.mean(), rel=1e-6)
    weights = np.array([1, 0, 2, 1.0])
    actual = loss(objective, LABELS, LOGITS, weights=weights)
    assert actual == pytest.approx((each * weights).mean(), rel=1e-6)


def test_levels_add_their_own_loss():
    level_of_class = np.array([1, 0, 0])
    level_logits = np.random.default_rng(1).normal(size=[4, 2]).astype(np.float32)
    objective = Objective(levels=[(0.25, level_of_class)])
    expected = (
        crossentropy(LOGITS, LABELS) + 0.25 * crossentropy(level_logits, level_of_class[LABELS])
    ).mean()
    actual = loss(objective, LABELS, LOGITS, level_logits)
    assert actual == pytest.approx(expected, rel=1e-6)
