"""Learning rates by depth."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models.grouped_optimizer import GroupedOptimizer


def variables() -> list[keras.Variable]:
    return [keras.Variable(np.full([2], value, np.float32)) for value in (1.0, 2.0, 3.0)]


def test_each_group_steps_by_its_own_optimizer():
    ours = variables()
    optimizer = GroupedOptimizer(
        [[ours[0]], ours[1:]], lambda number: keras.optimizers.SGD(0.1 * (number + 1))
    )
    optimizer.build(ours)
    gradients = [tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0]), tf.constant([5.0, 6.0])]
    optimizer.apply(gradients, ours)
    np.testing.assert_allclose(ours[0], [0.9, 0.8], rtol=1e-6)
    np.testing.assert_allclose(ours[1], [1.4, 1.2], rtol=1e-6)
    np.testing.assert_allclose(ours[2], [2.0, 1.8], rtol=1e-6)
    assert int(optimizer.iterations) == 1
    assert float(optimizer.learning_rate) == pytest.approx(0.2)


def test_one_group_is_the_optimizer_itself():
    ours, theirs = variables(), variables()
    grouped = GroupedOptimizer([ours], lambda _: keras.optimizers.Adam(0.1))
    alone = keras.optimizers.Adam(0.1)
    for optimizer, trained in ((grouped, ours), (alone, theirs)):
        optimizer.build(trained)
        for number in range(3):
            optimizer.apply([tf.fill([2], 1.0 + number)] * 3, trained)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(grouped.variables) == len(alone.variables)


def test_every_variable_must_be_in_a_group():
    ours = variables()
    optimizer = GroupedOptimizer([ours[:2]], lambda _: keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="exactly the variables to train"):
        optimizer.build(ours)
