"""Products and pictures of each category, and how unevenly they are spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from cdisc_tfds.categories import Categories
from cdisc_tfds.frequency_groups import GROUPS, frequency_group
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import UNLABELLED


@dataclasses.dataclass(frozen=True, eq=False)
class CategoryCounts:
    """The labelled products of all splits together.

    Attributes:
      categories: the categories.
      products, pictures: int64 [categories], by label.
    """

    categories: Categories
    products: np.ndarray
    pictures: np.ndarray

    @classmethod
    def of(cls, indexes: Sequence[ProductIndex], categories: Categories) -> CategoryCounts:
        size = categories.num_categories
        products, pictures = np.zeros([2, size], np.int64)
        for index in indexes:
            labelled = index[index.category != UNLABELLED]
            products += np.bincount(labelled.category, minlength=size)
            # Sums below 2^53 are exact in float64.
            sums = np.bincount(labelled.category, weights=labelled.num_pictures, minlength=size)
            pictures += sums.astype(np.int64)
        return cls(categories, products, pictures)

    @property
    def ranked(self) -> np.ndarray:
        """All labels, the largest category first: int64 [categories]."""
        return np.argsort(-self.products, kind="stable")

    def holding(self, share: float) -> int:
        """The least number of categories that hold this share of the pictures."""
        largest = np.cumsum(np.sort(self.pictures)[::-1])
        return int(np.searchsorted(largest, share * largest[-1]) + 1) if largest[-1] else 0

    def groups(self) -> list[tuple[str, np.ndarray]]:
        """(name, labels) of the head, the middle and the tail."""
        group = frequency_group(self.products)
        return [(name, np.flatnonzero(group == place)) for place, name in enumerate(GROUPS)]
