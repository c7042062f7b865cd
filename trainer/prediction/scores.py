"""Scores of predictions: accuracy, top-5 accuracy and log-likelihood."""

from __future__ import annotations

import math

import numpy as np

from trainer.cluster.workers import Workers
from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch

_TOP = 5
# exp() of a float32 logit difference below -87 underflows; such a label counts with this
# probability.
_SMALLEST = np.finfo(np.float32).tiny


class Tally:
    """Running counts over rows of probabilities and their true classes.

    Equal probabilities rank by class, lowest first, as in `argmax`. So a network that gives every
    class the same probability is not right about all of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._correct = 0
        self._in_top = 0
        self._loss = 0.0

    def add(self, probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Adds rows to the counts.

        Args:
          probabilities: float32 [n, classes].
          classes: integers [n], the true classes, all 0 or more.

        Returns:
          int64 [n], the predicted classes.
        """
        rows = np.arange(len(classes))
        own = probabilities[rows, classes][:, None]
        predicted = probabilities.argmax(axis=1)
        before = np.count_nonzero(probabilities > own, axis=1)
        close = np.flatnonzero(before < _TOP)
        ties = (probabilities[close] == own[close]) & (
            np.arange(probabilities.shape[1]) < classes[close, None]
        )
        before[close] += np.count_nonzero(ties, axis=1)
        self.count += len(classes)
        self._correct += int((predicted == classes).sum())
        self._in_top += int((before < _TOP).sum())
        self._loss -= float(np.log(np.maximum(own, _SMALLEST)).sum(dtype=np.float64))
        return predicted

    @property
    def sums(self) -> np.ndarray:
        """The counts and the sum of losses, which add up over the rows: float64 [4]."""
        return np.array([self.count, self._correct, self._in_top, self._loss], np.float64)

    @sums.setter
    def sums(self, values: np.ndarray) -> None:
        self.count, self._correct, self._in_top = map(int, values[:3])
        self._loss = float(values[3])

    @property
    def accuracy(self) -> float:
        """Share of rows whose most probable class is the true one; NaN without rows."""
        return self._correct / self.count if self.count else math.nan

    @property
    def top5_accuracy(self) -> float:
        """Share of rows whose true class is among the five most probable; NaN without rows."""
        return self._in_top / self.count if self.count else math.nan

    @property
    def loss(self) -> float:
        """Mean of -log(probability of the true class), in nats; NaN without rows."""
        return self._loss / self.count if self.count else math.nan


class ProductTally:
    """Counts predictions by picture, and by product.

    Args:
      classes: integers [products of a split], the true classes.

    Attributes:
      by_picture: counts over the pictures.
      by_product: counts over the products, with probabilities averaged over their pictures.
    """

    def __init__(self, classes: np.ndarray):
        self._classes = classes
        self.by_picture, self.by_product = Tally(), Tally()

    def add(self, batch: ProductBatch) -> np.ndarray:
        """Adds a batch; returns the predicted classes, int64 [products of the batch]."""
        self.by_picture.add(batch.picture_probabilities, self._classes[batch.picture_ordinals])
        return self.by_product.add(batch.probabilities, self._classes[batch.ordinals])

    def join(self, workers: Workers) -> None:
        """Adds the counts of the other workers, which counted other products."""
        tallies = self.by_picture, self.by_product
        sums = workers.sums(np.concatenate([tally.sums for tally in tallies]))
        for tally, values in zip(tallies, np.split(sums, len(tallies)), strict=True):
            tally.sums = values


def level_of_class(label_map: LabelMap, level: str) -> np.ndarray | None:
    """The label at `level` (`level1` or `level2`) of each class of a run: int64 [classes].

    None if the run's classes are coarser than the level.
    """
    classes = label_map.class_of_category
    known = classes >= 0
    level_of_category = getattr(label_map.categories, level)[known]
    result = np.full(label_map.num_classes, -1, np.int64)
    result[classes[known]] = level_of_category
    return result if np.array_equal(result[classes[known]], level_of_category) else None


class LevelSum:
    """Sums the probabilities of a run's classes for each category of a level."""

    def __init__(self, level_of_class: np.ndarray, num_labels: int):
        self._num_labels = num_labels
        order = np.argsort(level_of_class, kind="stable")
        self._order = None if np.array_equal(order, np.arange(len(order))) else order
        self._labels, self._starts = np.unique(level_of_class[order], return_index=True)

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """float32 [n, classes] -> float32 [n, labels of the level]."""
        if self._order is not None:
            probabilities = probabilities[:, self._order]
        sums = np.add.reduceat(probabilities, self._starts, axis=1)
        if len(self._labels) == self._num_labels:
            return sums
        result = np.zeros([len(probabilities), self._num_labels], np.float32)
        result[:, self._labels] = sums
        return result
