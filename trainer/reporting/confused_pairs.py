"""Which classes are taken for which, counted over the first guesses of an evaluation."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.runs.guess_file import Guesses


@dataclasses.dataclass(frozen=True)
class ConfusedPair:
    """Products of one class that were predicted as another.

    Attributes:
      true, predicted: the classes.
      count: these products.
      of_true: all products of the true class.
      reverse: products of the predicted class that were predicted as the true one.
    """

    true: int
    predicted: int
    count: int
    of_true: int
    reverse: int


def confused_pairs(guesses: Guesses) -> list[ConfusedPair]:
    """All pairs of a true class and a wrong prediction, those with the most products first."""
    if not len(guesses):
        return []
    wrong = ~guesses.right
    classes = int(max(guesses.true.max(), guesses.predicted.max())) + 1
    keys = guesses.true[wrong].astype(np.int64) * classes + guesses.predicted[wrong]
    pairs, counts = np.unique(keys, return_counts=True)
    of_true = np.bincount(guesses.true, minlength=classes)
    count_of = dict(zip(pairs.tolist(), counts.tolist(), strict=True))
    found = []
    for key, count in count_of.items():
        true, predicted = divmod(key, classes)
        reverse = count_of.get(predicted * classes + true, 0)
        found.append(ConfusedPair(true, predicted, count, int(of_true[true]), reverse))
    return sorted(found, key=lambda pair: (-pair.count, pair.of_true, pair.true, pair.predicted))
