"""Averages the probabilities of each product's pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

MEANS = ("arithmetic", "geometric")
_SMALLEST = np.float32(1e-30)  # lower bound of a probability before its logarithm


class AveragingError(ValueError):
    """A stream of pictures that cannot be averaged by product."""


@dataclasses.dataclass(frozen=True)
class ProductBatch:
    """Products whose pictures have all been seen, and the pictures of the last batch read.

    Attributes:
      ordinals: int64 [n], positions of the products in the split.
      probabilities: float32 [n, classes], averaged over each product's pictures.
      num_pictures: int64 [n], readable pictures of each product; 0 if the prior is used instead.
      picture_ordinals: int64 [m], the product of each picture of the last batch read. The last
        product of that batch may be in the next ProductBatch.
      picture_probabilities: float32 [m, classes].
    """

    ordinals: np.ndarray
    probabilities: np.ndarray
    num_pictures: np.ndarray
    picture_ordinals: np.ndarray
    picture_probabilities: np.ndarray


def average_products(
    pictures: Iterable[tuple[np.ndarray, np.ndarray]], mean: str = "arithmetic"
) -> Iterator[ProductBatch]:
    """Averages the probabilities of each product's consecutive pictures.

    The pictures of a product may span several batches. The result is the same to the last bit,
    wherever batches end.

    Args:
      pictures: batches of (product ordinal int64 [b], probabilities float32 [b, classes]), with
        ordinals never decreasing.
      mean: one of MEANS.

    Raises:
      AveragingError: if an ordinal decreases, which would split a product in two.
    """
    carry: _Sums | None = None  # of the last product, whose next picture may be in the next batch
    for ordinals, probabilities in pictures:
        first = carry.ordinals[0] if carry else 0
        if np.any(np.diff(ordinals, prepend=first) < 0):
            raise AveragingError(
                "The pictures of a product must follow each other, products in the split's order. "
                f"Received: product {ordinals.min()} after product {max(first, ordinals.max())}."
            )
        sums = _sum_products(ordinals, probabilities, mean, carry)
        carry = sums.rows(slice(-1, None))
        yield _finish(sums.rows(slice(0, -1)), mean, ordinals, probabilities)
    if carry:
        yield _finish(carry, mean, ordinals[:0], probabilities[:0])


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Sums over the pictures of each product: of probabilities, or of their logarithms."""

    ordinals: np.ndarray
    values: np.ndarray
    counts: np.ndarray

    def rows(self, rows: slice) -> _Sums:
        return _Sums(self.ordinals[rows], self.values[rows], self.counts[rows])

    def followed_by(self, other: _Sums) -> _Sums:
        return _Sums(
            np.concatenate([self.ordinals, other.ordinals]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.counts, other.counts]),
        )


def _sum_products(
    ordinals: np.ndarray, probabilities: np.ndarray, mean: str, carry: _Sums | None
) -> _Sums:
    values = probabilities
    if mean == "geometric":
        values = np.log(np.maximum(values, _SMALLEST))
    starts = np.flatnonzero(np.diff(ordinals, prepend=ordinals[0] - 1))
    counts = np.diff(starts, append=len(ordinals))
    totals = values[starts]
    continued = carry if carry is not None and carry.ordinals[0] == ordinals[0] else None
    if continued is not None:
        totals[0] += continued.values[0]
    # One picture at a time; np.add.reduceat along this axis is ten times slower.
    for place in range(1, counts.max()):
        longer = np.flatnonzero(counts > place)
        totals[longer] += values[starts[longer] + place]
    if continued is not None:
        counts[0] += continued.counts[0]
    sums = _Sums(ordinals[starts], totals, counts)
    return sums if carry is None or continued is not None else carry.followed_by(sums)


def _finish(
    sums: _Sums, mean: str, picture_ordinals: np.ndarray, picture_probabilities: np.ndarray
) -> ProductBatch:
    means = sums.values / sums.counts[:, None].astype(np.float32)
    if mean == "geometric":
        means = np.exp(means - means.max(axis=1, keepdims=True))
        means /= means.sum(axis=1, keepdims=True)
    return ProductBatch(sums.ordinals, means, sums.counts, picture_ordinals, picture_probabilities)


def prior_batch(ordinals: np.ndarray, prior: np.ndarray) -> ProductBatch:
    return ProductBatch(
        ordinals,
        np.tile(prior, [len(ordinals), 1]),
        np.zeros(len(ordinals), np.int64),
        ordinals[:0],
        np.zeros([0, len(prior)], np.float32),
    )
