"""Moves of pictures, against NumPy's own mirrors, rotations and slices."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import geometry

SIZE = 12


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, [2, SIZE, SIZE, 3]).astype(np.uint8)


def moved(images: np.ndarray, move: geometry.Move, interpolate: bool = False) -> np.ndarray:
    return geometry.moved(tf.constant(images), move, interpolate).numpy()


@pytest.mark.parametrize("interpolate", [False, True])
def test_no_move(images, interpolate):
    np.testing.assert_array_equal(moved(images, geometry.Move.none(2), interpolate), images)


@pytest.mark.parametrize("interpolate", [False, True])
def test_mirror(images, interpolate):
    result = moved(images, geometry.mirrored(tf.constant([True, False])), interpolate)
    np.testing.assert_array_equal(result, [images[0, :, ::-1], images[1]])


def test_shift_is_down_and_right_over_white(images):
    result = moved(images, geometry.shifted(tf.constant([[3.0, 0.0], [-2.0, 1.0]])))
    np.testing.assert_array_equal(result[0, 3:], images[0, :-3])
    assert (result[0, :3] == 255).all()
    np.testing.assert_array_equal(result[1, :-2, 1:], images[1, 2:, :-1])
    assert (result[1, -2:] == 255).all() and (result[1, :, :1] == 255).all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotations_by_right_angles(images, quarters):
    angle = tf.fill([2], quarters * np.pi / 2)
    result = moved(images, geometry.zoomed_and_rotated(None, angle))
    turned = [np.rot90(images, sign * quarters, axes=(1, 2)) for sign in (1, -1)]
    assert any(np.array_equal(result, one) for one in turned)


def test_zoom_by_two_halves_the_field_of_view():
    ramp = np.arange(SIZE, dtype=np.float32) * 10
    image = np.tile(ramp[None, None, :, None], [1, SIZE, 1, 3]).astype(np.uint8)
    result = moved(image, geometry.zoomed_and_rotated(tf.constant([2.0]), None), True)
    centre = (SIZE - 1) / 2
    expected = (centre + (np.arange(SIZE) - centre) / 2) * 10
    np.testing.assert_allclose(result[0, 5, :, 0], expected, atol=0.51)


def test_zoom_out_is_white_outside():
    image = np.zeros([1, SIZE, SIZE, 3], np.uint8)
    result = moved(image, geometry.zoomed_and_rotated(tf.constant([0.5]), None), True)
    assert (result[0, 4:8, 4:8] == 0).all()
    assert (result[0, :2] == 255).all() and (result[0, :, -2:] == 255).all()


def test_shear_moves_rows_by_their_distance_from_the_centre():
    image = np.full([1, SIZE + 1, SIZE + 1, 3], 255, np.uint8)
    image[0, :, SIZE // 2] = 0  # a line down the middle
    result = moved(image, geometry.sheared(tf.constant([[1.0, 0.0]])))
    lines = [np.flatnonzero(row[:, 0] == 0).tolist() for row in result[0]]
    steps = {after[0] - before[0] for before, after in zip(lines, lines[1:]) if before and after}
    assert lines[SIZE // 2] == [SIZE // 2] and steps in ({1}, {-1})


def test_moves_combine_in_their_order(images):
    shift = geometry.shifted(tf.constant([[2.0, 1.0], [0.0, -3.0]]))
    mirror = geometry.mirrored(tf.constant([True, True]))
    for first, second in ((shift, mirror), (mirror, shift)):
        one_by_one = moved(moved(images, first), second)
        at_once = moved(images, first.then(second))
        np.testing.assert_array_equal(at_once, one_by_one)
    assert not np.array_equal(moved(images, shift.then(mirror)), moved(images, mirror.then(shift)))


def test_only_no_moves_are_none():
    nothing, mirror = geometry.Move.none(2), geometry.mirrored(tf.constant([False, False]))
    assert nothing.then(nothing).is_none
    assert not nothing.then(mirror).is_none and not mirror.then(nothing).is_none
