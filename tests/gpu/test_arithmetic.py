"""Losses, gradients and augmentation: a GPU against the processor."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import tiny_pretrained
from tests.helpers.accelerator import (
    PROCESSOR,
    backends,
    gpus,
    plain_backends,
    run_eagerly,
    run_on,
)
from trainer.data.augmentation import Changes, Drawer
from trainer.data.augmentation_table import Augmentation
from trainer.models.networks import build_model
from trainer.models.objective import Objective

pytestmark = pytest.mark.gpu

SIZE, PICTURES, CLASSES = 32, 16, 6
# XLA compiles convolutions slowly for a processor.
NETWORKS = (tiny_pretrained.NAME, *(["solution1_1"] if gpus() else []))
# (loss, gradients): largest relative error against float32 on the processor; of the gradients, the
# norm of the difference of all of them. bfloat16 keeps 8 bits of each number, and the gradients of
# a network that has learnt nothing nearly cancel: XLA on a processor is 0.15 away.
BOUNDS = {"float32": (1e-4, 1e-4), "mixed_bfloat16": (0.02, 0.3)}


def smooth_pictures(size: int = SIZE) -> tf.Tensor:
    """Pictures without noise, uint8 [PICTURES, size, size, 3]."""
    coarse = np.random.default_rng(0).uniform(0, 255, [PICTURES, 5, 5, 3]).astype(np.float32)
    values = tf.image.resize(coarse, [size, size], "bicubic")
    return tf.cast(tf.clip_by_value(values, 0, 255), tf.uint8)


@pytest.fixture(autouse=True)
def full_float32():
    """Without TF32, which rounds float32's factors to 10 bits; and the policy is put back."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    policy = keras.config.dtype_policy()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)
    keras.config.set_dtype_policy(policy)


def loss_and_gradients(network: str, policy: str, device: str, xla: bool):
    """(loss, all gradients in one vector) of a network with fixed weights."""
    keras.config.set_dtype_policy(policy)
    with tf.device(device):
        model = build_model(network, CLASSES, image_size=SIZE, weights="none", dropout=0.0, seed=3)

    def run(pictures, labels):
        with tf.GradientTape() as tape:
            loss = Objective()(labels, [model(pictures, training=True)], None)
        return loss, tape.gradient(loss, model.trainable_variables)

    labels = tf.range(PICTURES) % CLASSES
    loss, gradients = run_on(device, xla, run, smooth_pictures(), labels)
    return float(loss), np.concatenate([gradient.ravel() for gradient in gradients])


@pytest.mark.parametrize("policy", BOUNDS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("device", "xla"), backends())
def test_losses_and_gradients_are_the_processors(monkeypatch, network, policy, device, xla):
    tiny_pretrained.add_to_models(monkeypatch)
    loss, gradients = loss_and_gradients(network, "float32", PROCESSOR, False)
    other_loss, other_gradients = loss_and_gradients(network, policy, device, xla)
    norm = np.linalg.norm(gradients)
    assert norm > 0.01
    distance = np.linalg.norm(other_gradients - gradients) / norm
    assert distance <= BOUNDS[policy][1], distance
    assert other_loss == pytest.approx(loss, rel=BOUNDS[policy][0])


# Augmentation.

# Name: the changes, the largest share of values that may differ by 1, for they are rounded after
# sums in another order, and where they run. Whole pixels are moved as they are. XLA has no
# operation that moves pictures.
_MOVES = Augmentation(flip=True, shift=0.1, zoom=(0.75, 1.15), rotate=15.0)
CHANGES = {
    "flip and shift": (Augmentation(flip=True, shift=0.1), 0.0, plain_backends()),
    "moves": (_MOVES, 0.002, plain_backends()),
    "colours": (Augmentation(colour=0.3, erase=0.5), 0.002, backends()),
}
EVERYTHING = dataclasses.replace(_MOVES, colour=0.3, rand_augment=2, erase=0.5)


def draws_of(augmentation: Augmentation) -> dict[str, np.ndarray]:
    """The numbers that the pipeline draws, on the processor."""
    return run_eagerly(Drawer(augmentation, 7, SIZE).draws, *NUMBERS)


NUMBERS = np.int64(3), PICTURES  # batch, pictures


def difference(augmentation: Augmentation, device: str, xla: bool) -> np.ndarray:
    """Absolute differences of the changed pictures from the processor's, with the same draws."""
    change, pictures = Changes(augmentation).changed, smooth_pictures()
    draws = draws_of(augmentation)
    expected = run_eagerly(change, pictures, draws).astype(int)
    assert not np.array_equal(expected, pictures)
    return np.abs(run_on(device, xla, change, pictures, draws).astype(int) - expected)


@pytest.mark.parametrize(
    ("name", "device", "xla"),
    [(name, *backend) for name, (*_, where) in CHANGES.items() for backend in where],
)
def test_pictures_are_changed_in_the_same_way(name, device, xla):
    augmentation, share, _ = CHANGES[name]
    found = difference(augmentation, device, xla)
    assert found.max() <= (1 if share else 0)
    assert (found > 0).mean() <= share, (found > 0).mean()


@pytest.mark.parametrize(("device", "xla"), plain_backends())
def test_rand_augment_differs_in_few_values(device, xla):
    """Some of its changes have thresholds, so that a value at one of them may differ by more."""
    found = difference(Augmentation(rand_augment=2), device, xla)
    assert (found > 0).mean() <= 0.005, (found > 0).mean()
    assert (found > 1).mean() <= 0.001, (found > 1).mean()


@pytest.mark.parametrize(("device", "xla"), plain_backends())
def test_the_same_numbers_are_drawn(device, xla):
    """Bit for bit, but for those that an exponential makes: to the last bit."""
    expected = draws_of(EVERYTHING)
    drawn = run_on(device, xla, Drawer(EVERYTHING, 7, SIZE).draws, *NUMBERS)
    assert expected.keys() == drawn.keys() and len(drawn) == 8
    np.testing.assert_allclose(drawn.pop("zoom"), expected.pop("zoom"), rtol=3e-7)
    for name, values in drawn.items():
        np.testing.assert_array_equal(values, expected[name], name)
