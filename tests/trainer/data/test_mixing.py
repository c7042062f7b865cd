"""Pairs of pictures mixed with their labels."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import mixing

SIZE = 10
BLACK_AND_WHITE = np.stack([np.zeros([SIZE, SIZE, 3]), np.full([SIZE, SIZE, 3], 255)])


def mixed(shares, cuts=((0.0, 0.0), (0.0, 0.0))):
    pictures, labels, weights = mixing.mixed(
        tf.constant(BLACK_AND_WHITE, tf.uint8),
        tf.constant([3, 8]),
        tf.constant(shares, tf.float32),
        tf.constant(cuts, tf.float32),
    )
    return pictures.numpy(), labels.numpy(), weights.numpy()


def test_mixup_blends_a_picture_with_its_partner():
    pictures, labels, weights = mixed([[0.8, 1], [0.6, 1]])
    assert (pictures[0] == 51).all() and (pictures[1] == 153).all()  # 0.2 and 0.6 of 255
    np.testing.assert_array_equal(labels, [[3, 8], [8, 3]])
    np.testing.assert_allclose(weights, [[0.8, 0.2], [0.6, 0.4]], rtol=1e-6)


def test_cutmix_pastes_a_square_and_its_share_is_that_of_the_pixels():
    # 0.16 of 100 pixels is a square of 4; 0.2 is one of 4.47, so of 4 as well.
    pictures, labels, weights = mixed([[1, 0.84], [1, 0.8]], [(0, 0), (0.99, 0.5)])
    assert (pictures[0, :4, :4] == 255).all() and (pictures[0] == 255).sum() == 16 * 3
    assert (pictures[1, 6:, 3:7] == 0).all() and (pictures[1] == 0).sum() == 16 * 3
    np.testing.assert_array_equal(labels, [[3, 8], [8, 3]])
    np.testing.assert_allclose(weights, [[0.84, 0.16]] * 2, rtol=1e-6)


def test_a_share_of_one_changes_nothing():
    pictures, _, weights = mixed([[1, 1], [1, 1]], [(0.5, 0.5), (0.99, 0.99)])
    np.testing.assert_array_equal(pictures, BLACK_AND_WHITE)
    np.testing.assert_array_equal(weights, [[1, 0], [1, 0]])


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 5.0])
def test_shares_follow_the_larger_half_of_a_beta_distribution(alpha):
    shares = mixing.draw_shares(tf.constant([1, 2], tf.int64), tf.constant(20000), alpha, 0.0)
    by_mixup, by_cutmix = shares.numpy().T
    assert (by_cutmix == 1).all()
    assert np.isfinite(by_mixup).all() and by_mixup.min() >= 0.5 and by_mixup.max() <= 1
    expected = np.random.default_rng(0).beta(alpha, alpha, 20000)
    expected = np.maximum(expected, 1 - expected)
    for share in (0.25, 0.5, 0.75):
        difference = np.quantile(by_mixup, share) - np.quantile(expected, share)
        assert abs(difference) < 0.02


def test_with_both_each_picture_gets_one():
    shares = mixing.draw_shares(tf.constant([1, 2], tf.int64), tf.constant(4000), 1.0, 1.0)
    used = shares.numpy() < 1
    assert (used.sum(axis=1) == 1).all()
    assert 0.45 < used[:, 0].mean() < 0.55


def test_rectangle():
    inside = mixing.rectangle(5, *(tf.constant([value]) for value in (1.0, 2.0, 3.0, 2.0))).numpy()
    assert inside.shape == (1, 5, 5, 1)
    expected = np.zeros([5, 5], bool)
    expected[1:4, 2:4] = True
    np.testing.assert_array_equal(inside[0, :, :, 0], expected)
