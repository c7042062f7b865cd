"""Finds products by their id."""

from __future__ import annotations

import numpy as np


class ProductPlaces:
    """The places of products in a column of ids, which are distinct; 8 bytes a product.

    Args:
      ids: int64 [n].
    """

    def __init__(self, ids: np.ndarray):
        self._ids, self._order = ids, np.argsort(ids)

    def of(self, wanted: np.ndarray) -> np.ndarray:
        """The place of each wanted id: int64, in the shape of `wanted`; -1 if it is not there."""
        if not len(self._ids):
            return np.full(np.shape(wanted), -1)
        found = np.searchsorted(self._ids, wanted, sorter=self._order)
        places = self._order[np.minimum(found, len(self._ids) - 1)]
        return np.where(self._ids[places] == wanted, places, -1)
