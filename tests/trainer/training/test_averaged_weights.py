import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.models.losses import SparseCrossentropy
from trainer.models.objective import Objective
from trainer.training.averaged_weights import AveragedWeights
from trainer.training.step import TrainStep


def _model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input([3]), keras.layers.Dense(4)])


def _batches(count):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=[count, 8, 3]).astype(np.float32)
    labels = rng.integers(0, 4, [count, 8]).astype(np.int32)
    return tf.data.Dataset.from_tensor_slices((inputs, labels))


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_as_keras_averages(steps):
    """Keras's optimizers keep the same averages, and put them in place after `fit`."""
    theirs = _model()
    optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
    theirs.compile(optimizer, SparseCrossentropy(), jit_compile=False)
    theirs.fit(_batches(steps), verbose=0)

    ours = _model()
    strategy = tf.distribute.get_strategy()
    step = TrainStep(ours, keras.optimizers.Adam(0.1), Objective(), strategy, ema_momentum=0.9)
    batches = step.iterator(_batches(steps))
    for _ in range(steps):
        step(batches)
    trained = [weight.numpy() for weight in ours.weights]
    with step.averaged():
        for weight, expected in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(weight.numpy(), expected.numpy(), rtol=1e-6)
    for weight, value in zip(ours.weights, trained, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    if steps > 1:
        assert not np.allclose(trained[0], theirs.weights[0].numpy())


def test_weights_come_back_after_an_error():
    weight = keras.Variable([1.0, 2.0])
    averages = AveragedWeights([weight], 0.5)
    with pytest.raises(KeyError), averages.applied():
        assert weight.numpy().tolist() == [0.0, 0.0]
        raise KeyError
    assert weight.numpy().tolist() == [1.0, 2.0]
