"""How well the probabilities of first guesses agree with how often they are right."""

from __future__ import annotations

import numpy as np

from trainer.runs.evaluation_parts import Acceptance, Reliability, ReliabilityBin

NUM_BINS = 15
WANTED = (0.9, 0.95, 0.99)


class Confidences:
    """Collects the confidence of each product, the probability of its first guess.

    Memory: 9 bytes a product.

    Args:
      num_products: how many products will be added.
      tempered: whether the probabilities have a temperature.
    """

    def __init__(self, num_products: int, tempered: bool):
        self._before = np.empty(num_products if tempered else 0, np.float32)
        self._confidence = np.empty(num_products, np.float32)
        self._right = np.empty(num_products, bool)
        self._tempered, self._count = tempered, 0

    def add(self, confidence: np.ndarray, right: np.ndarray, before: np.ndarray) -> None:
        """Adds products.

        Args:
          confidence: float32 [n].
          right: bool [n], whether the first guess is right.
          before: float32 [n], the confidence without temperature.
        """
        rows = slice(self._count, self._count + len(right))
        self._confidence[rows], self._right[rows] = confidence, right
        if self._tempered:
            self._before[rows] = before
        self._count += len(right)

    def result(self) -> Reliability:
        """The figures over the products added; there is at least one."""
        right = self._right[: self._count]
        confidence = self._confidence[: self._count]
        bins = equal_mass_bins(confidence, right)
        before = equal_mass_bins(self._before[: self._count], right) if self._tempered else None
        return Reliability(
            expected_calibration_error(bins),
            None if before is None else expected_calibration_error(before),
            bins,
            tuple(acceptance(confidence, right, wanted) for wanted in WANTED),
        )


def equal_mass_bins(confidence: np.ndarray, right: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Up to NUM_BINS bins of equally many products, to within one, by ascending confidence.

    Equally many products per bin give every bin the same standard error (Nixon et al., 2019,
    arXiv:1904.01685).
    """
    order = np.argsort(confidence, kind="stable")
    return tuple(
        ReliabilityBin(
            len(rows),
            float(confidence[rows].mean(dtype=np.float64)),
            float(right[rows].mean()),
        )
        for rows in np.array_split(order, NUM_BINS)
        if len(rows)
    )


def expected_calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Mean over the products of their bin's |accuracy - confidence|."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total


def acceptance(confidence: np.ndarray, right: np.ndarray, wanted: float) -> Acceptance:
    """The threshold that accepts the most products with at least the wanted accuracy."""
    order = np.argsort(-confidence, kind="stable")
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A threshold cannot separate products of equal confidence.
    falls = np.append(confidence[order][1:] < confidence[order][:-1], True)
    reached = np.flatnonzero((accuracy >= wanted) & falls)
    if not len(reached):
        return Acceptance(wanted, None, 0.0, 0.0)
    last = int(reached[-1])
    return Acceptance(
        wanted,
        float(confidence[order[last]]),
        (last + 1) / len(order),
        float(accuracy[last]),
    )
