"""How often an epoch shows each picture."""

import numpy as np
import pytest

from cdisc_tfds.records import Product
from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.class_weights import balanced_weights
from trainer.data.input_pipeline import inference_dataset, train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.picture_selection import PictureSelection, distinct_pictures, select_pictures


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_balanced_weights(exponent):
    counts = np.array([100, 25, 0, 1])
    weights = balanced_weights(counts, exponent)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    assert weights[2] == 0
    assert weights[1] / weights[0] == pytest.approx(4**exponent)
    assert weights[3] / weights[0] == pytest.approx(100**exponent)


@pytest.fixture
def labelled(tmp_path) -> LabelledSplit:
    """Ten products of class 0, then one of class 1 and one without a label."""
    data = SmallData(tmp_path)
    products = make_products([0] * 10 + [1])
    twin = products[0].images[0]
    products[3] = Product(products[3].product_id, [twin, *products[3].images], 0)
    products[10] = Product(products[10].product_id, [twin, *products[10].images, twin], 1)
    products += make_products([0], seed=5, first_id=500, unlabelled=True)
    return LabelledSplit(data.add("train", products), LabelMap(data.categories))


def first_pictures(labelled: LabelledSplit) -> np.ndarray:
    counts = labelled.split.index.num_pictures
    return np.cumsum(counts) - counts


def test_equal_pictures_of_a_class_are_shown_once(labelled):
    distinct = distinct_pictures(labelled)
    first = first_pictures(labelled)
    twins = [first[0], first[3], first[10], first[11] - 1]
    assert distinct[twins].tolist() == [True, False, True, False]
    others = np.ones(len(distinct), bool)
    others[twins] = False
    others[first[11] :] = False
    assert distinct[others].all()
    assert not distinct[first[11] :].any()  # of the product without a label


def test_without_balance_each_candidate_once(labelled):
    everything = select_pictures(labelled, None, 0.0, seed=0)
    assert everything.num_pictures == labelled.num_pictures
    distinct = distinct_pictures(labelled)
    np.testing.assert_array_equal(select_pictures(labelled, distinct, 0.0, 0).counts, distinct)


def test_balance_repeats_the_rare_and_skips_the_frequent(labelled):
    first = first_pictures(labelled)
    seeds = range(300)
    counts = np.mean([select_pictures(labelled, None, 1.0, seed).counts for seed in seeds], 0)
    frequent, rare = counts[: first[10]], counts[first[10] : first[11]]
    # Both classes are shown equally often.
    assert rare.sum() == pytest.approx(labelled.num_pictures / 2, rel=0.02)
    assert frequent.sum() == pytest.approx(labelled.num_pictures / 2, rel=0.05)
    assert (counts[first[11] :] == 0).all()


def test_a_seed_always_selects_the_same(labelled):
    one, again, other = (select_pictures(labelled, None, 0.5, seed).counts for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_pipeline_shows_each_picture_as_often_as_selected(labelled):
    first = first_pictures(labelled)
    known = np.arange(labelled.split.num_pictures) < first[11]
    counts = np.where(known, np.random.default_rng(0).integers(0, 4, len(known)), 0)

    def shown(counts: np.ndarray | None) -> list[bytes]:
        selection = None if counts is None else PictureSelection(counts.astype(np.uint8))
        dataset = train_dataset(
            labelled, batch_size=4, image_size=SIZE, seed=1, epoch=0, selection=selection
        )
        batches = list(dataset)
        assert len(dataset) == len(batches)
        return sorted(image.numpy().tobytes() for images, _ in batches for image in images)

    assert shown(known) == shown(None)
    in_order = {
        ordinal: [picture.numpy().tobytes() for picture in pictures]
        for ordinal, pictures in _pictures_by_product(labelled).items()
    }
    flat = [picture for ordinal in sorted(in_order) for picture in in_order[ordinal]]
    expected = [picture for picture, times in zip(flat, counts, strict=True) for _ in range(times)]
    assert shown(counts) == sorted(expected)


def _pictures_by_product(labelled: LabelledSplit) -> dict[int, list]:
    by_product: dict[int, list] = {}
    for batch in inference_dataset(labelled.split, batch_size=50, image_size=SIZE):
        for ordinal, picture in zip(batch["product"].numpy(), batch["inputs"], strict=True):
            by_product.setdefault(int(ordinal), []).append(picture)
    return by_product
