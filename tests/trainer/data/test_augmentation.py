"""The random changes to training pictures: what they draw, and what they do to pixels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.augmentation import Changes, Drawer
from trainer.data.augmentation_table import AUGMENTATIONS, Augmentation

SIZE = 24
EVERYTHING = Augmentation(
    flip=True,
    shift=0.1,
    zoom=(0.75, 1.15),
    rotate=15.0,
    colour=0.3,
    rand_augment=2,
    erase=0.5,
    mixup=0.2,
    cutmix=1.0,
)


def pictures(count: int = 6, seed: int = 0) -> tf.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, [count, SIZE, SIZE, 3])
    return tf.constant(values, tf.uint8)


def drawn(augmentation: Augmentation, count: int = 6, step: int = 0, seed: int = 7) -> dict:
    drawer = Drawer(augmentation, seed, SIZE)
    return drawer.draws(tf.constant(step, tf.int64), tf.constant(count))


def changed(augmentation: Augmentation, images: tf.Tensor, **settings) -> np.ndarray:
    draws = drawn(augmentation, len(images), **settings)
    return Changes(augmentation).changed(images, draws).numpy()


def test_nothing_is_drawn_or_changed_by_default():
    assert drawn(AUGMENTATIONS["none"]) == {}
    np.testing.assert_array_equal(changed(AUGMENTATIONS["none"], pictures()), pictures())


def test_draws_are_a_function_of_seed_and_step():
    first, again = drawn(EVERYTHING), drawn(EVERYTHING)
    assert set(first) == {
        *("flip", "shift", "zoom", "place", "rotate", "colour", "rand_augment", "erase"),
        *("mix", "cut"),
    }
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
        assert len(values) == 6
        for other in (drawn(EVERYTHING, step=1), drawn(EVERYTHING, seed=8)):
            assert not np.array_equal(values, other[name]), name


def test_draws_of_a_change_do_not_depend_on_the_other_changes():
    alone = drawn(Augmentation(zoom=EVERYTHING.zoom))
    np.testing.assert_array_equal(alone["zoom"], drawn(EVERYTHING)["zoom"])


def test_a_reduced_picture_is_whole_and_at_random_places():
    black = tf.zeros([200, SIZE, SIZE, 3], tf.uint8)
    seen = (changed(Augmentation(zoom=(0.5, 0.5)), black) < 128).all(axis=-1)
    tops, lefts = seen.any(2).argmax(1), seen.any(1).argmax(1)
    for edges, sides in ((tops, seen.any(2).sum(1)), (lefts, seen.any(1).sum(1))):
        assert set(sides) <= {SIZE // 2 - 1, SIZE // 2, SIZE // 2 + 1}
        assert edges.min() == 0 and edges.max() >= SIZE // 2 - 1


def test_an_enlarged_picture_shows_every_part_and_no_white():
    rows = tf.broadcast_to(tf.range(SIZE)[None, :, None, None], [200, SIZE, SIZE, 3])
    # Its outermost pixels may lie half outside, and are half white.
    result = changed(Augmentation(zoom=(2, 2)), tf.cast(rows, tf.uint8))[:, 1:-1, 1:-1]
    assert result.max() < SIZE
    tops, bottoms = result[:, 0, 0, 0], result[:, -1, 0, 0]
    assert tops.min() <= 1 and tops.max() >= SIZE // 2 - 2
    assert bottoms.max() >= SIZE - 2
    assert set(bottoms - tops) <= {SIZE // 2 - 2, SIZE // 2 - 1, SIZE // 2}


def test_draws_stay_within_their_ranges():
    draws = drawn(EVERYTHING, count=2000)
    assert 0.45 < np.mean(draws["flip"]) < 0.55
    assert (np.min(draws["shift"]), np.max(draws["shift"])) == (-2, 2)  # a tenth of 24, rounded
    for name, low, high in (
        ("zoom", 0.75, 1.15),
        ("rotate", -np.pi / 12, np.pi / 12),
        ("colour", 0.7, 1.3),
    ):
        values = draws[name].numpy()
        assert low <= values.min() < low + 0.02 * (high - low), name
        assert high - 0.02 * (high - low) < values.max() <= high, name


@pytest.mark.parametrize(
    "change",
    [
        Augmentation(zoom=(0.5, 0.6)),
        Augmentation(rotate=90.0),
        Augmentation(colour=0.5),
        Augmentation(rand_augment=2),
        Augmentation(erase=1.0),
    ],
    ids=lambda change: next(
        name for name, value in dataclasses.asdict(change).items() if value not in (0, None, False)
    ),
)
def test_each_change_alters_every_picture_in_its_own_way(change):
    same = tf.repeat(pictures(1), 8, axis=0)
    result = changed(change, same)
    assert result.dtype == np.uint8 and result.shape == same.shape
    alike = [np.array_equal(result[0], one) for one in result[1:]]
    assert not any(alike)
    if not change.rand_augment:  # which may draw a change of strength 0
        assert not any(np.array_equal(one, same[0]) for one in result)


def test_a_picture_does_not_depend_on_the_others_of_its_batch():
    settings = dataclasses.replace(EVERYTHING, mixup=0.0, cutmix=0.0)
    changes, images = Changes(settings), pictures()
    draws = drawn(settings)
    whole = changes.changed(images, draws)
    one = {name: values[2:3] for name, values in draws.items()}
    np.testing.assert_array_equal(changes.changed(images[2:3], one)[0], whole[2])


def test_erasing_fills_one_rectangle_with_the_mean_colour():
    images = pictures(40)
    result = changed(Augmentation(erase=1.0), images)
    for before, after in zip(images.numpy(), result, strict=True):
        differs = (before != after).any(axis=-1)
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        inside = after[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].reshape(-1, 3)
        mean = np.round(before.mean(axis=(0, 1)))
        assert (inside == mean).all()
        assert 0.005 < len(inside) / SIZE**2 < 0.45


def test_a_share_of_the_pictures_is_erased():
    images = pictures(400)
    result = changed(Augmentation(erase=0.25), images)
    erased = (result != images.numpy()).any(axis=(1, 2, 3))
    assert 0.18 < erased.mean() < 0.32
