"""The rules that join the probabilities of a product's pictures into those of the product.

All but two are generalised means of each class's probabilities over the pictures, scaled to the
sum 1: (mean of p ** e) ** (1 / e). The larger the exponent e, the more the surest picture counts.
From lowest to highest: harmonic (-1), geometric (the limit at 0), power_0.5, arithmetic (1),
root_mean_square (2), power_4, max (the limit at infinity). The median ignores outliers; the vote
counts first guesses.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

SMALLEST = np.float32(1e-30)  # lower bound of a probability before its logarithm or a division


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which of a list of pictures belong together.

    Attributes:
      starts: int64 [n], the first picture of each product; a product's pictures are consecutive.
      counts: int64 [n], its number of pictures; at least 1.
    """

    starts: np.ndarray
    counts: np.ndarray


# (probabilities float32 [pictures, classes], groups of n products) -> float32 [n, classes]
_Rule = Callable[[np.ndarray, Groups], np.ndarray]


def join(probabilities: np.ndarray, groups: Groups, rule: str) -> np.ndarray:
    """Joins the pictures of each product.

    A row depends only on the pictures of its product, to the last bit.

    Args:
      probabilities: float32 [pictures, classes], each row summing to 1.
      groups: the pictures of each of n products.
      rule: one of MEANS.

    Returns:
      float32 [n, classes], each row summing to 1.
    """
    if not len(groups.starts):
        return np.zeros([0, probabilities.shape[1]], np.float32)
    return _RULES[rule](probabilities, groups)


def logarithms(probabilities: np.ndarray) -> np.ndarray:
    """Natural logarithms; those of probabilities below SMALLEST are that of SMALLEST."""
    return np.log(np.maximum(probabilities, SMALLEST))


def _folded(operation: np.ufunc, values: np.ndarray, groups: Groups) -> np.ndarray:
    """Applies a binary operation to the values of each product's pictures, from first to last."""
    result = values[groups.starts]
    # One picture at a time; np.add.reduceat along this axis is ten times slower.
    for place in range(1, groups.counts.max()):
        longer = np.flatnonzero(groups.counts > place)
        result[longer] = operation(result[longer], values[groups.starts[longer] + place])
    return result


def _mean(values: np.ndarray, groups: Groups) -> np.ndarray:
    return _folded(np.add, values, groups) / groups.counts[:, None].astype(np.float32)


def _to_sum_1(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=1, keepdims=True)


def _geometric(probabilities: np.ndarray, groups: Groups) -> np.ndarray:
    means = _mean(logarithms(probabilities), groups)
    return _to_sum_1(np.exp(means - means.max(axis=1, keepdims=True)))


def _harmonic(probabilities: np.ndarray, groups: Groups) -> np.ndarray:
    return _to_sum_1(1 / _mean(1 / np.maximum(probabilities, SMALLEST), groups))


def _power(probabilities: np.ndarray, groups: Groups, exponent: float) -> np.ndarray:
    # Relative to the largest over the pictures: a high power of a small number would become 0.
    largest = _folded(np.maximum, probabilities, groups)
    of_picture = np.repeat(np.arange(len(groups.starts)), groups.counts)
    relative = probabilities / np.maximum(largest, SMALLEST)[of_picture]
    mean = _mean(relative ** np.float32(exponent), groups)
    return _to_sum_1(largest * mean ** np.float32(1 / exponent))


def _max(probabilities: np.ndarray, groups: Groups) -> np.ndarray:
    return _to_sum_1(_folded(np.maximum, probabilities, groups))


def _median(probabilities: np.ndarray, groups: Groups) -> np.ndarray:
    result = _mean(probabilities, groups)
    for count in np.unique(groups.counts[groups.counts > 2]):  # of two, the median is the mean
        rows = np.flatnonzero(groups.counts == count)
        own = probabilities[groups.starts[rows][:, None] + np.arange(count)]
        own.sort(axis=1)
        medians = (own[:, (count - 1) // 2] + own[:, count // 2]) / 2
        # Pictures that are each sure of another class have no median: the mean stays.
        some = medians.sum(axis=1) > SMALLEST
        result[rows[some]] = _to_sum_1(medians[some])
    return result


def _vote(probabilities: np.ndarray, groups: Groups) -> np.ndarray:
    """The share of the votes, where the mean probabilities count as one more vote.

    Each picture votes for its most probable class. Two classes with as many votes rank by their
    summed probabilities, because these decide by less than a vote.
    """
    votes = np.zeros_like(probabilities)
    votes[np.arange(len(votes)), probabilities.argmax(axis=1)] = 1
    cast = _folded(np.add, votes, groups)
    return (cast + _mean(probabilities, groups)) / (groups.counts[:, None] + 1).astype(np.float32)


_RULES: dict[str, _Rule] = {
    "arithmetic": _mean,
    "geometric": _geometric,
    "harmonic": _harmonic,
    "power_0.5": functools.partial(_power, exponent=0.5),
    "root_mean_square": functools.partial(_power, exponent=2),
    "power_4": functools.partial(_power, exponent=4),
    "max": _max,
    "median": _median,
    "vote": _vote,
}
MEANS = tuple(_RULES)
