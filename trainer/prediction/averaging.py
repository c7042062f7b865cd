"""Joins the pictures of each product in a stream of pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from trainer.prediction.joining_rules import Groups, join

# (product ordinal int64 [b], probabilities float32 [b, classes]) of b pictures
Pictures = tuple[np.ndarray, np.ndarray]


class AveragingError(ValueError):
    """A stream of pictures that cannot be joined by product."""


@dataclasses.dataclass(frozen=True)
class ProductBatch:
    """Some products of a split, and their pictures.

    Attributes:
      ordinals: int64 [n], positions of the products in the split.
      probabilities: float32 [n, classes], joined over each product's pictures.
      num_pictures: int64 [n], readable pictures of each product; 0 if the prior is used instead.
      picture_ordinals: int64 [m], the product of each picture.
      picture_probabilities: float32 [m, classes].
    """

    ordinals: np.ndarray
    probabilities: np.ndarray
    num_pictures: np.ndarray
    picture_ordinals: np.ndarray
    picture_probabilities: np.ndarray


def average_products(
    pictures: Iterable[Pictures], mean: str = "arithmetic"
) -> Iterator[ProductBatch]:
    """Joins the probabilities of each product's consecutive pictures.

    The pictures of a product may span several batches. The result is the same to the last bit,
    wherever batches end.

    Args:
      pictures: batches of pictures, with ordinals never decreasing.
      mean: the rule, one of `joining_rules.MEANS`.

    Raises:
      AveragingError: if an ordinal decreases, which would split a product in two.
    """
    for ordinals, probabilities in whole_products(pictures):
        yield joined_batch(ordinals, probabilities, mean)


def joined_batch(ordinals: np.ndarray, probabilities: np.ndarray, mean: str) -> ProductBatch:
    """Joins the pictures of whole products; arguments as in Pictures and `average_products`."""
    groups = groups_of(ordinals)
    return ProductBatch(
        ordinals[groups.starts],
        join(probabilities, groups, mean),
        groups.counts,
        ordinals,
        probabilities,
    )


def whole_products(pictures: Iterable[Pictures]) -> Iterator[Pictures]:
    """The same pictures in batches that end where a product ends; some may be empty.

    Raises:
      AveragingError: as in `average_products`.
    """
    rest: Pictures | None = None  # of the last product, whose next picture may follow
    for ordinals, probabilities in pictures:
        if not len(ordinals):
            continue
        first = rest[0][0] if rest else 0
        if np.any(np.diff(ordinals, prepend=first) < 0):
            raise AveragingError(
                "The pictures of a product must follow each other, products in the split's order. "
                f"Received: product {ordinals.min()} after product {max(first, ordinals.max())}."
            )
        if rest:
            ordinals = np.concatenate([rest[0], ordinals])
            probabilities = np.concatenate([rest[1], probabilities])
        end = np.searchsorted(ordinals, ordinals[-1])
        yield ordinals[:end], probabilities[:end]
        rest = ordinals[end:], probabilities[end:]
    if rest:
        yield rest


def groups_of(ordinals: np.ndarray) -> Groups:
    """The pictures of each product, by the product's ordinal: int64 [pictures], ascending."""
    starts = np.flatnonzero(np.diff(ordinals, prepend=-1))
    return Groups(starts, np.diff(starts, append=len(ordinals)))


def prior_batch(ordinals: np.ndarray, prior: np.ndarray) -> ProductBatch:
    """Products without a readable picture, which get the prior: float32 [classes]."""
    return ProductBatch(
        ordinals,
        np.tile(prior, [len(ordinals), 1]),
        np.zeros(len(ordinals), np.int64),
        ordinals[:0],
        np.zeros([0, len(prior)], np.float32),
    )
