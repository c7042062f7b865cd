import numpy as np

from trainer.data.product_places import ProductPlaces


def test_places_of_ids():
    ids = np.array([7, -3, 9, 0])
    places = ProductPlaces(ids)
    assert places.of(np.array([[0, 9], [8, -3]])).tolist() == [[3, 2], [-1, 1]]
    assert places.of(np.array(7)) == 0 and places.of(np.array(10)) == -1
    assert ProductPlaces(ids[:0]).of(ids).tolist() == [-1] * 4
