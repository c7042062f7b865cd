import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.fake_sources import collected
from trainer.prediction.averaging import AveragingError, average_products
from trainer.prediction.joining_rules import MEANS


def _stream(lengths, num_classes, cuts, seed):
    rng = np.random.default_rng(seed)
    ordinals = np.repeat(np.cumsum(rng.integers(1, 3, len(lengths))), lengths)
    probabilities = rng.dirichlet(np.ones(num_classes), len(ordinals)).astype(np.float32)
    borders = sorted({min(cut, len(ordinals)) for cut in cuts} | {0, len(ordinals)})
    return ordinals, probabilities, list(zip(borders, borders[1:]))


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 60), max_size=10),
    mean=st.sampled_from(MEANS),
    seed=st.integers(0, 1000),
)
def test_products_do_not_depend_on_where_batches_end(lengths, cuts, mean, seed):
    ordinals, probabilities, borders = _stream(lengths, 7, cuts, seed)
    batches = list(
        average_products(((ordinals[a:b], probabilities[a:b]) for a, b in borders), mean)
    )
    joined = collected(batches)
    whole = collected(average_products([(ordinals, probabilities)], mean))
    for name, values in vars(joined).items():
        assert np.array_equal(values, getattr(whole, name)), name
    assert np.array_equal(joined.ordinals, np.unique(ordinals))
    assert np.array_equal(joined.num_pictures, lengths)
    assert np.array_equal(joined.picture_probabilities, probabilities)
    for batch in batches:  # each batch holds the pictures of its own products
        own = np.repeat(batch.ordinals, batch.num_pictures)
        assert np.array_equal(batch.picture_ordinals, own)


def test_a_product_in_two_pieces_is_an_error():
    with pytest.raises(AveragingError, match="must follow each other.*product 3 after product 4"):
        list(average_products([(np.array([3, 4, 3]), np.ones([3, 2], np.float32))]))


def test_a_product_that_comes_back_in_a_later_batch_is_an_error():
    one = np.ones([1, 2], np.float32)
    with pytest.raises(AveragingError, match="must follow each other.*product 1 after product 2"):
        list(average_products([(np.array([2]), one), (np.array([1]), one)]))
