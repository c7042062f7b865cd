"""One training step: parts of a batch, clipping, pictures with two labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models.level_heads import LevelHeads
from trainer.models.objective import Objective
from trainer.training.step import TrainStep

SIZE, CLASSES = 11, 4
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=[SIZE, 5]).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, SIZE).astype(np.int32)


def network(*between: keras.layers.Layer) -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input([5])
    x = keras.layers.Dense(6, activation="tanh", name="features")(inputs)
    for layer in between:
        x = layer(x)
    logits = keras.layers.Dense(CLASSES, name="classes")(x)
    return keras.Model(inputs, logits)


def stepped(model: keras.Model, *batches, rate: float = 0.5, **settings) -> TrainStep:
    """The step after training on `batches`."""
    objective = settings.pop("objective", Objective())
    step = TrainStep(
        model, keras.optimizers.SGD(rate), objective, tf.distribute.get_strategy(), **settings
    )
    for batch in batches or [(INPUTS, LABELS)]:
        tensors = tuple(tf.constant(part) for part in batch)
        step(step.iterator(tf.data.Dataset.from_tensors(tensors)))
    return step


def weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([value.ravel() for value in model.get_weights()])


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 10, 11, 20])
def test_parts_of_a_batch_give_the_step_of_the_whole(micro_batch):
    whole, parts = network(), network()
    expected = stepped(whole).metrics.values()
    actual = stepped(parts, micro_batch=micro_batch).metrics.values()
    np.testing.assert_allclose(weights(parts), weights(whole), rtol=1e-5, atol=1e-7)
    assert not np.allclose(weights(whole), weights(network()))
    assert actual.loss == pytest.approx(expected.loss, rel=1e-6)
    assert actual.accuracy == expected.accuracy


def test_parts_of_batches_of_several_sizes_with_two_labels():
    pairs = np.stack([LABELS, LABELS[::-1]], axis=1)
    shares = RNG.uniform(0.5, 1, SIZE).astype(np.float32)
    shares = np.stack([shares, 1 - shares], axis=1)
    batches = [(INPUTS, pairs, shares), (INPUTS[:3], pairs[:3], shares[:3])]
    whole, parts = network(), network()
    stepped(whole, *batches)
    stepped(parts, *batches, micro_batch=4)
    np.testing.assert_allclose(weights(parts), weights(whole), rtol=1e-5, atol=1e-7)


def test_a_batch_norm_sees_each_part_by_itself():
    whole, parts = (
        network(keras.layers.BatchNormalization()),
        network(keras.layers.BatchNormalization()),
    )
    stepped(whole)
    stepped(parts, micro_batch=4)
    assert not np.allclose(weights(parts), weights(whole), rtol=1e-3)


@pytest.mark.parametrize("micro_batch", [0, 3])
@pytest.mark.parametrize("limit", [0.01, 0.1, 1e6])
def test_the_gradient_is_clipped_by_its_whole_norm(limit, micro_batch):
    free, clipped = network(), network()
    before = weights(free)
    stepped(free, rate=1.0)
    stepped(clipped, rate=1.0, clip_norm=limit, micro_batch=micro_batch)
    full = weights(free) - before
    expected = full * min(1, limit / np.linalg.norm(full))
    np.testing.assert_allclose(weights(clipped) - before, expected, rtol=1e-3, atol=1e-7)


def test_clipping_looks_at_the_gradient_before_float16s_scale():
    model, scaled = network(), network()
    stepped(model, rate=1.0, clip_norm=0.1)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
    step = TrainStep(scaled, optimizer, Objective(), tf.distribute.get_strategy(), clip_norm=0.1)
    batch = (tf.constant(INPUTS), tf.constant(LABELS))
    step(step.iterator(tf.data.Dataset.from_tensors(batch)))
    np.testing.assert_allclose(weights(scaled), weights(model), rtol=1e-4, atol=1e-6)


def test_accuracy_counts_the_main_label():
    pairs = np.stack([LABELS, (LABELS + 1) % CLASSES], axis=1)
    shares = np.tile(np.float32([0.6, 0.4]), [SIZE, 1])
    plain, mixed = network(), network()
    expected = stepped(plain).metrics.values().accuracy
    assert stepped(mixed, (INPUTS, pairs, shares)).metrics.values().accuracy == expected


def test_levels_train_their_own_layers_and_the_features():
    model = network()
    heads = LevelHeads({"level1": 2})
    with_levels = heads.attached_to(model)
    objective = Objective(levels=[(0.5, np.array([0, 0, 1, 1]))])
    before = weights(with_levels)
    step = stepped(with_levels, objective=objective)
    own = [path.path for path in with_levels.trainable_variables if "level1" in path.path]
    assert len(own) == 2
    assert np.abs(weights(with_levels) - before).max() > 0
    alone = network()
    stepped(alone)
    assert not np.allclose(alone.get_weights()[0], model.get_weights()[0])
    kept = {id(variable) for variable in step.variables(model)}
    assert {id(variable) for variable in with_levels.variables} <= kept


def test_without_levels_the_network_stays_itself():
    model = network()
    assert LevelHeads({}).attached_to(model) is model
