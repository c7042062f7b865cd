"""Changes of colours, against arithmetic by hand."""

import numpy as np
import tensorflow as tf

from trainer.data import colour_changes, rand_augment
from trainer.data.augmentation import to_pixels

RED, GREY = [200.0, 100.0, 0.0], [50.0, 50.0, 50.0]
GREY_OF_RED = 0.299 * 200 + 0.587 * 100


def picture(*pixels: list[float]) -> tf.Tensor:
    """float32 [1, 1, n, 3]."""
    return tf.constant([[list(pixels)]])


def multiplied(values, *factors: float) -> np.ndarray:
    drawn = tf.constant([factors], tf.float32)
    return colour_changes.multiplied(values, drawn).numpy()[0, 0]


def test_brightness():
    np.testing.assert_allclose(multiplied(picture(RED, GREY), 0.5, 1, 1), [[100, 50, 0], [25] * 3])
    np.testing.assert_allclose(multiplied(picture(RED), 2, 1, 1), [[255, 200, 0]])


def test_contrast_is_about_the_pictures_mean_grey():
    mean = (GREY_OF_RED + 50) / 2
    expected = mean + (np.array([RED, GREY]) - mean) * 0.5
    np.testing.assert_allclose(multiplied(picture(RED, GREY), 1, 0.5, 1), expected, rtol=1e-5)


def test_saturation_is_about_the_pixels_own_grey():
    grey, colourless = multiplied(picture(GREY, RED), 1, 1, 0)
    np.testing.assert_allclose(grey, GREY, rtol=1e-5)
    np.testing.assert_allclose(colourless, [GREY_OF_RED] * 3, rtol=1e-5)


def test_factors_of_one_change_nothing():
    values = tf.random.stateless_uniform([3, 4, 5, 3], [1, 2], 0, 255)
    result = colour_changes.multiplied(values, tf.ones([3, 3]))
    np.testing.assert_allclose(result, values, rtol=1e-5, atol=1e-4)


def test_posterize_solarize_and_stretch():
    values = picture([0.0, 63.0, 64.0], [127.0, 128.0, 255.0])
    np.testing.assert_array_equal(
        colour_changes.posterized(values, tf.constant([64.0]))[0, 0],
        [[0, 0, 64], [64, 128, 192]],
    )
    np.testing.assert_array_equal(
        colour_changes.solarized(values, tf.constant([127.0]))[0, 0],
        [[0, 63, 64], [127, 127, 0]],
    )
    np.testing.assert_allclose(
        colour_changes.stretched(values)[0, 0], [[0, 0, 0], [255, 255, 255]], atol=1e-3
    )
    np.testing.assert_array_equal(colour_changes.stretched(picture(GREY)), picture(GREY))


def draws(name: str, strength: float, sign: float) -> tf.Tensor:
    """The uniform numbers that make RandAugment choose one change."""
    which = (rand_augment.CHANGES.index(name) + 0.5) / len(rand_augment.CHANGES)
    return tf.constant([[[which, strength, sign]]])


def test_each_change_of_rand_augment_does_something_else():
    values = tf.random.stateless_uniform([1, 8, 8, 3], [3, 4], 20, 200)
    seen = {}
    for name in rand_augment.CHANGES:
        drawn = draws(name, 0.8, 0.9)
        move = rand_augment.move(drawn, 8)
        matrix = np.concatenate([move.matrix[0], move.offset[0][:, None]], axis=1)
        colours = to_pixels(rand_augment.recoloured(values, drawn)).numpy()
        moves = not np.allclose(matrix, np.eye(2, 3))
        recolours = (colours != to_pixels(values).numpy()).any()
        assert moves != recolours, name
        seen[name] = (matrix.round(4).tobytes(), colours.tobytes())
    assert len(set(seen.values())) == len(rand_augment.CHANGES)


def test_the_sign_of_rand_augment_turns_a_change_round():
    forth, back = (rand_augment.move(draws("rotate", 0.5, sign), 8) for sign in (0.9, 0.1))
    np.testing.assert_allclose(forth.then(back).matrix[0], np.eye(2), atol=1e-6)
