import importlib.util
import sys

import numpy as np
import pytest

from trainer.prediction import neighbours
from trainer.prediction.neighbours import ExactIndex, NeighbourError, chosen, nearest, nearest_among
from trainer.prediction.product_embeddings import unit


def _features(number=50, size=8):
    rows = np.random.default_rng(0).normal(size=[number, size])
    return unit(rows.astype(np.float32)).astype(np.float16)


def _by_hand(features, k):
    """Neighbours by a full sort."""
    rows = features.astype(np.float32)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosines, order, axis=1)


@pytest.mark.parametrize(("queries", "block"), [(1000, 1000), (7, 11), (50, 3)])
def test_exact_neighbours_are_those_of_a_sort(monkeypatch, queries, block):
    monkeypatch.setattr(neighbours, "_QUERIES", queries)
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    features = _features()
    places, cosines = nearest(features, 5, "exact")
    expected, values = _by_hand(features, 5)
    assert np.array_equal(places, expected)
    np.testing.assert_allclose(cosines, values, rtol=1e-5)


def test_all_others_are_neighbours_at_most():
    features = _features(4)
    places, _ = nearest(features, 3)
    assert np.array_equal(np.sort(places, axis=1), [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
    for k in (0, 4):
        with pytest.raises(NeighbourError, match=f"from 1 to 3 for 4 products. Received: {k}"):
            nearest(features, k)


def test_copies_of_a_product_leave_it_out_all_the_same():
    features = np.repeat(_features(1), 6, axis=0)
    places, cosines = nearest(features, 2)
    assert not (places == np.arange(6)[:, None]).any()
    np.testing.assert_allclose(cosines, 1, atol=2e-3)  # float16


def test_queries_of_others():
    features = _features()
    index = ExactIndex(features)
    for one in (index, index.on_device()):
        places, cosines = one.nearest(features[7:9].astype(np.float32), 1)
        assert places.tolist() == [[7], [8]]
        np.testing.assert_allclose(cosines, 1, atol=2e-3)
    assert index.on_device().features.dtype == "float32"


def test_neighbours_among_others():
    features = _features()
    queries, others = features[:10], features[10:]
    places, cosines = nearest_among(queries, others, np.full(10, -1), 40)
    products = queries.astype(np.float32) @ others.astype(np.float32).T
    expected = np.argsort(-products, axis=1, kind="stable")
    assert np.array_equal(places, expected)
    assert (np.diff(cosines, axis=1) <= 0).all()
    with pytest.raises(NeighbourError, match="from 1 to 40 for 40 products. Received: 41"):
        nearest_among(queries, others, np.full(10, -1), 41)


def test_a_query_that_is_among_them_is_not_its_own_neighbour():
    features = _features()
    itself = np.array([30, -1, 7])
    places, _ = nearest_among(features[[30, 40, 7]], features, itself, 5)
    for row, place in zip(places.tolist(), itself.tolist(), strict=True):
        assert place not in row and len(set(row)) == 5
    assert places[1, 0] == 40  # nothing says that it is there
    expected, _ = _by_hand(features, 5)
    assert np.array_equal(places[[0, 2]], expected[[30, 7]])


def test_the_number_of_products_chooses():
    assert chosen("auto", 100_000) == "exact"
    assert chosen("auto", 100_001) == "approximate"
    assert chosen("exact", 10**9) == "exact"
    assert chosen("auto", 10**6, queries=10**4) == "exact"
    assert chosen("auto", 10**6, queries=10**4 + 1) == "approximate"


def test_an_unknown_search():
    with pytest.raises(NeighbourError, match="one of auto, exact, approximate. Received: 'fast'"):
        nearest(_features(), 3, "fast")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(NeighbourError, match=r"package usearch: pip install .*\[neighbours\].*or"):
        nearest(_features(), 3, "approximate")


@pytest.mark.skipif(not importlib.util.find_spec("usearch"), reason="needs the extra `neighbours`")
def test_approximate_neighbours_are_nearly_the_exact_ones(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 300)
    features = _features(1000, 16)
    places, cosines = nearest(features, 10, "approximate")
    expected, values = _by_hand(features, 10)
    found = [len(set(a) & set(b)) for a, b in zip(places.tolist(), expected.tolist(), strict=True)]
    assert np.mean(found) > 9.5
    # Which ones a graph misses depends on the order in which its threads add the rows.
    assert np.mean(np.abs(cosines[:, 0] - values[:, 0]) < 1e-3) > 0.97
