import keras
import numpy as np
import pytest

from trainer.models.losses import SparseCrossentropy


def _batch(classes=7):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, classes), scale=3).astype(np.float32)
    return rng.integers(0, classes, 5).astype(np.int32), logits


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("classes", [2, 7])
def test_equals_the_dense_loss_of_one_hot_labels(smoothing, classes):
    labels, logits = _batch(classes)
    dense = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = dense(np.eye(classes, dtype=np.float32)[labels], logits)
    actual = SparseCrossentropy(label_smoothing=smoothing)(labels, logits)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_has_the_value_of_its_definition():
    # Two classes, logits 0 and ln 3: probabilities 1/4 and 3/4; targets 0.05 and 0.95.
    loss = SparseCrossentropy(label_smoothing=0.1)(
        np.array([1]), np.array([[0.0, np.log(3)]], np.float32)
    )
    np.testing.assert_allclose(loss, -0.05 * np.log(0.25) - 0.95 * np.log(0.75), rtol=1e-6)


def test_a_single_class_costs_nothing():
    """As for the specialist of a level-1 category that has one category."""
    loss = SparseCrossentropy(label_smoothing=0.1)(np.array([0, 0]), np.array([[3.0], [-2.0]]))
    assert float(loss) == 0


def test_is_finite_and_right_where_probabilities_vanish():
    logits = np.array([[1000.0, -1000.0]], np.float32)
    assert float(SparseCrossentropy()(np.array([1]), logits)) == 2000.0


def test_labels_up_to_the_last_category_are_exact():
    logits = np.zeros((2, 5270), np.float32)
    logits[[0, 1], [5269, 4999]] = 50.0
    np.testing.assert_allclose(SparseCrossentropy()(np.array([5269, 4999]), logits), 0, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_trains_in_fit(jit):
    labels, _ = _batch()
    model = keras.Sequential([keras.Input([7]), keras.layers.Dense(7)])
    model.compile("sgd", SparseCrossentropy(label_smoothing=0.1), jit_compile=jit)
    inputs = np.eye(7, dtype=np.float32)[labels]
    losses = model.fit(inputs, labels, epochs=5, verbose=0).history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_is_restored_from_its_config():
    loss = keras.losses.deserialize(
        keras.losses.serialize(SparseCrossentropy(label_smoothing=0.2, name="mine"))
    )
    assert (loss.label_smoothing, loss.name) == (0.2, "mine")


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(
        ValueError,
        match=f"`label_smoothing` must be at least 0 and below 1. Received: "
        f"label_smoothing={smoothing}.",
    ):
        SparseCrossentropy(label_smoothing=smoothing)
