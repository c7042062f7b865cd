"""Small pictures of products, read from the data set's records when a browser asks for them."""

from __future__ import annotations

import functools

import numpy as np

from cdisc_tfds.pages.thumbnail import thumbnail
from trainer.data.dataset import Split
from trainer.data.product_places import ProductPlaces
from trainer.data.stored_products import StoredProducts

_KEPT = 1024  # pictures, of at most 24 KB each
_INT64 = np.iinfo(np.int64)


class Thumbnails:
    """The pictures of a split's products; not for several threads at the same time.

    Args:
      split: the products.
    """

    def __init__(self, split: Split):
        self._places = ProductPlaces(split.index.product_id)
        self._stored = StoredProducts(split)
        self._kept = functools.lru_cache(_KEPT)(self._read)

    def of(self, product_id: int) -> bytes | None:
        """A JPEG of at most 180 x 180 pixels, of the product's first readable picture.

        Returns:
          None if there is no such product, or none of its pictures can be read.

        Raises:
          DatasetError: as in `StoredProducts.product`.
        """
        if not _INT64.min <= product_id <= _INT64.max:
            return None
        return self._kept(product_id)

    def _read(self, product_id: int) -> bytes | None:
        place = int(self._places.of(np.array(product_id)))
        if place < 0:
            return None
        return next(filter(None, map(thumbnail, self._stored.product(place).images)), None)
