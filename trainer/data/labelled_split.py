"""A split with the classes that a run gives its products, and its counts for training."""

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

    Products without a label, or whose category is not one of the run's classes, have no class.
    Training and accuracies leave them out.

    Attributes:
      split: the products.
      label_map: the run's classes.
      given_classes: int32 [products of the split], the classes of products (-1: none), if they are
        not those of the labels.
    """

    split: Split
    label_map: LabelMap
    given_classes: np.ndarray | None = None

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """Each product's class, or -1 if it has none: int32 [products of the split]."""
        if self.given_classes is not None:
            return self.given_classes
        return self.label_map.classes_of(self.split.index.category).astype(np.int32)

    @functools.cached_property
    def products(self) -> np.ndarray:
        """Positions in the split of the products with a class: int64, ascending."""
        return np.flatnonzero(self.classes >= 0)

    # Training needs the two numbers, but not the positions: 8 bytes a product.

    @functools.cached_property
    def num_products(self) -> int:
        """Number of products with a class."""
        return int(np.count_nonzero(self.classes >= 0))

    @functools.cached_property
    def num_pictures(self) -> int:
        """Number of pictures of the products with a class."""
        return int(self.split.index.num_pictures.sum(dtype=np.int64, where=self.classes >= 0))

    def steps(self, batch_size: int) -> int:
        """Number of batches of `batch_size` pictures in an epoch; the last one may be smaller."""
        return math.ceil(self.num_pictures / batch_size)
