"""A split seen with a run's eyes: the class of each product, and what there is to train on."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from trainer.data.dataset import Split
from trainer.data.label_map import LabelMap


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledSplit:
    """A split and the classes that a run gives its products.

    Products without a label, or with a category that is not among the run's classes, have no class:
    they are neither trained on nor counted in an accuracy.
    """

    split: Split
    label_map: LabelMap

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """int32 [products of the split]: each product's class, -1 where it has none."""
        return self.label_map.classes_of(self.split.index.category).astype(np.int32)

    @functools.cached_property
    def products(self) -> np.ndarray:
        """int64, ascending: places in the split of the products with a class."""
        return np.flatnonzero(self.classes >= 0)

    @property
    def num_products(self) -> int:
        """Products with a class."""
        return len(self.products)

    @functools.cached_property
    def num_pictures(self) -> int:
        """Pictures of the products with a class."""
        return int(self.split.index.num_pictures[self.products].sum(dtype=np.int64))

    def steps(self, batch_size: int) -> int:
        """Batches of `batch_size` pictures in an epoch; the last one may be smaller."""
        return math.ceil(self.num_pictures / batch_size)
