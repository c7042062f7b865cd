"""Some batches of a split alone: they are those of all of it, and other files are not opened."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.small_data import SIZE, SmallData, make_products
from trainer.data.input_pipeline import inference_dataset

# 22 products of 1 to 4 pictures; the eighth's cannot be decoded.
PRODUCTS = make_products(np.arange(22) % 6)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    data = SmallData(tmp_path_factory.mktemp("data"))
    broken = PRODUCTS[7]._replace(images=[b"\xff\xd8damaged"])
    return data.add("train", [*PRODUCTS[:7], broken, *PRODUCTS[8:]], shards=4)


def batches(split, **arguments):
    dataset = inference_dataset(split, batch_size=5, image_size=SIZE, **arguments)
    return [(batch["inputs"].numpy(), batch["product"].numpy()) for batch in dataset]


@pytest.mark.parametrize("products", [None, np.array([0, 1, 2, 5, 7, 8, 9, 15, 16, 21])])
def test_some_batches_are_those_of_all(split, products):
    whole = batches(split, products=products)
    assert len(whole) > 3
    last = len(whole)
    for first, end in ((0, 2), (1, None), (2, 4), (1, 1), (last - 1, last + 1), (last, None)):
        some = batches(split, products=products, steps=(first, end))
        for one, other in zip(some, whole[first:end], strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


def test_files_of_other_batches_need_not_be_there(split):
    whole = batches(split)
    missing = tuple(
        dataclasses.replace(part, path="/nowhere") if number in (0, 3) else part
        for number, part in enumerate(split.files)
    )
    partly = dataclasses.replace(split, files=missing)
    begin, end = split.files[0].take, split.num_products - split.files[3].take
    pictures = np.cumsum([0, *split.index.num_pictures])
    first, last = -(-pictures[begin] // 5), pictures[end] // 5
    assert last - first >= 2
    some = batches(partly, steps=(int(first), int(last)))
    for one, other in zip(some, whole[first:last], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    chosen = np.arange(begin, end)
    assert [batch[1].tolist() for batch in batches(partly, products=chosen)]
