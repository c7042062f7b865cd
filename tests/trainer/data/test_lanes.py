"""Lanes: the order of an epoch, and what each machine gets of it."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.augmentation_table import Augmentation
from trainer.data.input_pipeline import train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.lanes import Lanes, SharedBatches, Worker, share_of_products
from trainer.data.picture_selection import PictureSelection
from trainer.data.record_reading import located_parts

EVERYTHING = Augmentation(
    flip=True, shift=0.1, zoom=(0.75, 1.15), colour=0.2, erase=0.3, mixup=0.2, cutmix=1.0
)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> LabelledSplit:
    """61 products in 5 files; a picture's label does not name it, so tests compare pixels."""
    data = SmallData(tmp_path_factory.mktemp("lanes"))
    split = data.add("train", make_products(np.arange(61) * 7 % 6, seed=1), shards=5)
    return LabelledSplit(split, LabelMap(data.categories))


def batches(labelled, lanes, worker=None, **changes):
    arguments = {"batch_size": 8, "image_size": SIZE, "seed": 3, "epoch": 1, "shuffle_buffer": 50}
    worker = Worker() if worker is None else Worker(*worker)
    dataset = train_dataset(labelled, **arguments | changes, lanes=lanes, worker=worker)
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def order_of(counts) -> list[int]:
    """The epoch's order from its definition: one picture of each lane in turn."""
    return [lane for _, lane in sorted((k, i) for i, n in enumerate(counts) for k in range(n))]


@pytest.mark.parametrize("counts", [[3, 3, 3], [5, 3, 4], [0, 2], [7], [1, 0, 0, 6]])
def test_lanes_take_turns_and_skip_those_at_their_end(counts):
    lanes = Lanes(np.zeros(len(counts) + 1, np.int64), np.array(counts))
    places = tf.range(sum(counts), dtype=tf.int64)
    assert lanes.at(places).numpy().tolist() == order_of(counts)


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_lanes_are_even(labelled, lanes):
    dealt = Lanes.deal(labelled, None, lanes)
    assert dealt.total == labelled.num_pictures
    assert dealt.cuts[0] == 0 and dealt.cuts[-1] == 61
    # A cut is at most half a product, 2 pictures, from its goal, which is rounded.
    assert np.abs(dealt.counts - dealt.total / lanes).max() <= 5
    pictures = labelled.split.index.num_pictures
    for lane, count in enumerate(dealt.counts):
        assert pictures[dealt.cuts[lane] : dealt.cuts[lane + 1]].sum() == count


def test_pictures_that_an_epoch_does_not_show_do_not_count(labelled):
    """Only the second half of the products, the last picture of each of them three times."""
    pictures = labelled.split.index.num_pictures.astype(int)
    counts = np.zeros(pictures.sum(), np.uint8)
    last = np.cumsum(pictures) - 1
    counts[last[31:]] = 3
    dealt = Lanes.deal(labelled, PictureSelection(counts), 2)
    assert dealt.counts.tolist() == [45, 45]
    assert dealt.cuts.tolist() == [0, 46, 61]


def test_lanes_leave_out_products_without_a_class(labelled):
    classes = np.where(np.arange(61) < 30, labelled.classes, -1)
    some = dataclasses.replace(labelled, given_classes=classes.astype(np.int32))
    dealt = Lanes.deal(some, None, 3)
    assert dealt.total == some.num_pictures and np.ptp(dealt.counts) <= 5


@pytest.mark.parametrize(("counts", "size"), [([3, 3], 4), ([9, 5, 6], 4), ([2, 2, 2], 1)])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_largest_share_is_known(counts, size, workers):
    lanes = Lanes(np.zeros(len(counts) + 1, np.int64), np.array(counts))
    order = np.array(order_of(counts)) % workers
    expected = max(
        np.bincount(order[begin : begin + size]).max() for begin in range(0, len(order), size)
    )
    assert SharedBatches(lanes, size, Worker(0, workers)).largest == expected


def as_set(batches) -> list[tuple[int, bytes]]:
    return sorted(
        (int(label), image.tobytes())
        for images, labels in batches
        for image, label in zip(images, labels, strict=True)
    )


def test_every_picture_comes_once_with_any_number_of_lanes(labelled):
    one = batches(labelled, 1)
    for lanes in (2, 5):
        several = batches(labelled, lanes)
        assert as_set(several) == as_set(one)
        assert list(map(len, [b[1] for b in several])) == list(map(len, [b[1] for b in one]))
        assert any(not np.array_equal(a[0], b[0]) for a, b in zip(one, several, strict=True))
    other = batches(labelled, 5, epoch=2)
    assert as_set(other) == as_set(one)
    assert not np.array_equal(other[0][0], several[0][0])


@pytest.mark.parametrize(
    ("lanes", "workers", "size", "augment"),
    [
        (2, 2, 8, Augmentation()),
        (4, 2, 8, EVERYTHING),
        (4, 3, 9, EVERYTHING),
        (3, 3, 1, Augmentation()),
        (5, 2, 7, Augmentation()),
    ],
)
def test_machines_share_the_batches_of_one(labelled, lanes, workers, size, augment):
    """Pixels, labels and random changes: bit for bit. The weights give each picture one vote."""
    changes = {"batch_size": size, "augment": augment}
    whole = batches(labelled, lanes, **changes)
    shares = [batches(labelled, lanes, (index, workers), **changes) for index in range(workers)]
    lane_of_place = np.array(order_of(Lanes.deal(labelled, None, lanes).counts))
    assert [len(share) for share in shares] == [len(whole)] * workers
    for step, (images, labels, *mix) in enumerate(whole):
        parts = [share[step] for share in shares]
        assert len({len(part[1]) for part in parts}) == 1
        owner = lane_of_place[step * size : (step + 1) * size] % workers
        mean = 0.0
        for index, (own_images, own_labels, weights) in enumerate(parts):
            by_picture = weights.sum(axis=1) if mix else weights
            real = by_picture > 0
            np.testing.assert_array_equal(own_images[real], images[owner == index])
            np.testing.assert_array_equal(own_labels[real], labels[owner == index])
            if mix:
                shown = weights[real] / by_picture[real][:, None]
                np.testing.assert_allclose(shown, mix[0][owner == index], rtol=1e-6)
            main = own_labels[:, 0] if mix else own_labels
            mean += (main * by_picture).mean() / workers
        expected = (labels[:, 0] if mix else labels).mean()
        assert mean == pytest.approx(expected, rel=1e-6)


def test_a_machine_without_a_picture_gets_a_white_one(labelled):
    images, _, weights = batches(labelled, 3, (1, 3), batch_size=1)[0]
    assert weights.tolist() == [0.0]
    assert images.min() == 255


@pytest.mark.parametrize("worker", [(0, 1), (1, 2)])
def test_skipped_steps_change_nothing(labelled, worker):
    whole = batches(labelled, 4, worker, augment=EVERYTHING)
    for skip in (1, 5, len(whole)):
        rest = batches(labelled, 4, worker, augment=EVERYTHING, skip_steps=skip)
        assert len(rest) == len(whole) - skip
        for ours, theirs in zip(whole[skip:], rest, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_machine_reads_the_files_of_its_lanes_alone(labelled, tmp_path):
    """Of 5 files, the second of two machines needs the last three."""
    cut = int(Lanes.deal(labelled, None, 2).cuts[1])
    used = [pathlib.Path(part.path).name for part, _ in located_parts(labelled.split, cut)]
    assert used == ["train-2.tfrecord", "train-3.tfrecord", "train-4.tfrecord"]
    files = tuple(
        part
        if pathlib.Path(part.path).name in used
        else dataclasses.replace(part, path=str(tmp_path / "none"))
        for part in labelled.split.files
    )
    split = dataclasses.replace(labelled.split, files=files)
    rest = batches(LabelledSplit(split, labelled.label_map), 2, (1, 2))
    for ours, theirs in zip(rest, batches(labelled, 2, (1, 2)), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    with pytest.raises(tf.errors.NotFoundError):
        batches(LabelledSplit(split, labelled.label_map), 2, (0, 2))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_machines_share_products_by_their_pictures(count):
    """All products, each once; shares differ by less than two products' pictures, or 8."""
    num_pictures = np.random.default_rng(0).integers(1, 5, 50).astype(np.uint8)
    products = np.arange(100, 150)
    shares = [
        share_of_products(products, num_pictures, Worker(index, count)) for index in range(count)
    ]
    np.testing.assert_array_equal(np.concatenate(shares), products)
    pictures = [int(num_pictures[share - 100].sum()) for share in shares]
    assert max(pictures) - min(pictures) < 8


def test_more_machines_than_products_to_share():
    shares = [share_of_products(np.arange(2), np.ones(2), Worker(index, 5)) for index in range(5)]
    np.testing.assert_array_equal(np.concatenate(shares), [0, 1])
    none = np.arange(0)
    assert [len(share_of_products(none, none, Worker(index, 2))) for index in range(2)] == [0, 0]
