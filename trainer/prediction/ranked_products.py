"""The most probable classes of products, and what a class is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch


@dataclasses.dataclass(frozen=True)
class ClassNames:
    """What the classes of a run are called.

    Attributes:
      category_ids: int64 [classes]; None if the classes are those of a level.
      names: of the class itself.
      paths: with the levels above it, "level 1 > level 2 > level 3".
    """

    category_ids: np.ndarray | None
    names: list[str]
    paths: list[str]

    @classmethod
    def of(cls, label_map: LabelMap) -> ClassNames:
        ids = None
        if label_map.target == "category":
            ids = label_map.categories.category_ids[label_map.category_of_class]
        return cls(ids, label_map.class_names, label_map.full_names)


@dataclasses.dataclass(frozen=True)
class RankedProducts:
    """Some products and their k most probable classes, most probable first.

    Attributes:
      names: what the user calls the products.
      num_pictures: int64 [n], pictures that the prediction is made of; 0: there is none.
      classes: int32 [n, k]; -1 without a prediction.
      probabilities: float32 [n, k]; NaN without a prediction.
    """

    names: list[str]
    num_pictures: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray

    def accepted(self, threshold: float | None) -> np.ndarray:
        """Whether each first guess is at least this probable: bool [n]; None: no guess is."""
        if threshold is None:
            return np.zeros(len(self.names), bool)
        return self.probabilities[:, 0] >= np.float32(threshold)  # false for NaN


def ranked(
    names: list[str], places: np.ndarray, batches: Iterable[ProductBatch], top: int
) -> RankedProducts:
    """Ranks the classes of products.

    Args:
      names: of the products.
      places: int64, place in `names` of each product by its ordinal in the batches.
      batches: the predictions; products without one are marked so.
      top: k.
    """
    num_pictures = np.zeros(len(names), np.int64)
    classes = np.full([len(names), top], -1, np.int32)
    probabilities = np.full([len(names), top], np.nan, np.float32)
    for batch in batches:
        rows = places[batch.ordinals]
        best = top_classes(batch.probabilities, top)
        num_pictures[rows], classes[rows] = batch.num_pictures, best
        probabilities[rows] = np.take_along_axis(batch.probabilities, best, axis=1)
    return RankedProducts(names, num_pictures, classes, probabilities)


def top_classes(probabilities: np.ndarray, top: int) -> np.ndarray:
    """The classes of the `top` largest of each row, largest first; of equals, the first class.

    Args:
      probabilities: float32 [n, classes].
      top: from 1 to the number of classes.

    Returns:
      int64 [n, top].
    """
    least = -np.partition(-probabilities, top - 1, axis=1)[:, top - 1 : top]
    # All that are at least the least of the top; only equals can make them more than `top`.
    width = int((probabilities >= least).sum(axis=1).max(initial=top))
    some = np.sort(np.argpartition(-probabilities, width - 1, axis=1)[:, :width], axis=1)
    values = np.take_along_axis(probabilities, some, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(some, order, axis=1)
