"""Exact duplicates: pictures whose files are equal byte for byte, found by their hashes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.records import UNLABELLED


@dataclasses.dataclass(frozen=True, eq=False)
class Repeats:
    """The pictures that occur more than once, in groups of equal ones.

    A group is a distinct picture. The members of a group stand together, in the order of the splits
    and their records.

    Attributes:
      num_pictures, num_distinct: of all splits, repeated or not.
      hashes: int64 [groups].
      group: int32 [members], ascending.
      split: int8 [members], ordinal of the split.
      row: int32 [members], of the product in the split's index.
      position: uint8 [members], of the picture in its product.
      category: int32 [members], label, or -1.
    """

    num_pictures: int
    num_distinct: int
    hashes: np.ndarray
    group: np.ndarray
    split: np.ndarray
    row: np.ndarray
    position: np.ndarray
    category: np.ndarray

    @property
    def num_groups(self) -> int:
        return len(self.hashes)

    @functools.cached_property
    def pictures(self) -> np.ndarray:
        """How often each group's picture occurs: int64 [groups]."""
        return np.bincount(self.group, minlength=self.num_groups)

    @functools.cached_property
    def is_product(self) -> np.ndarray:
        """Whether a member is the first of its product in its group: bool [members]."""
        first = np.ones(len(self.group), bool)
        first[1:] = (
            (self.group[1:] != self.group[:-1])
            | (self.split[1:] != self.split[:-1])
            | (self.row[1:] != self.row[:-1])
        )
        return first

    @functools.cached_property
    def products(self) -> np.ndarray:
        """The number of products that show each group's picture: int64 [groups]."""
        return np.bincount(self.group[self.is_product], minlength=self.num_groups)

    @functools.cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(group, category, products) of each pair of both, by group, then category."""
        used = self.is_product & (self.category != UNLABELLED)
        size = int(self.category.max(initial=0)) + 1
        keys, counts = np.unique(
            self.group[used].astype(np.int64) * size + self.category[used], return_counts=True
        )
        return keys // size, keys % size, counts

    @functools.cached_property
    def num_categories(self) -> np.ndarray:
        """The number of categories of the products that show each group's picture: int64."""
        return np.bincount(self._pairs[0], minlength=self.num_groups)

    def categories(self, group: int) -> list[tuple[int, int]]:
        """(label, products) of a group, the most products first."""
        groups, labels, counts = self._pairs
        inside = slice(*np.searchsorted(groups, [group, group + 1]))
        pairs = zip(labels[inside].tolist(), counts[inside].tolist())
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def members(self, group: int) -> slice:
        """The members of a group."""
        return slice(*self._starts[group : group + 2].tolist())

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        """The first member of each group, and the end: int64 [groups + 1]."""
        return np.concatenate([[0], np.cumsum(self.pictures)])

    @functools.cached_property
    def most_frequent(self) -> np.ndarray:
        """All groups, those with the most pictures first: int64 [groups]."""
        return np.argsort(-self.pictures, kind="stable")

    @functools.cached_property
    def disputed(self) -> np.ndarray:
        """The groups whose products have several categories, the most products first: int64."""
        several = np.flatnonzero(self.num_categories > 1)
        return several[np.argsort(-self.products[several], kind="stable")]

    def num_products(self, groups: np.ndarray) -> int:
        """The number of products, each counted once, that show a picture of some groups."""
        chosen = np.zeros(self.num_groups, bool)
        chosen[groups] = True
        inside = chosen[self.group]
        return len(np.unique(self.split[inside].astype(np.int64) << 32 | self.row[inside]))

    def shared_with(self, reference: int, split: int) -> tuple[int, int]:
        """(pictures, products) of a split whose exact picture another split has as well.

        Args:
          reference: ordinal of the other split.
          split: ordinal of the split that is counted.
        """
        known = np.zeros(self.num_groups, bool)
        known[self.group[self.split == reference]] = True
        shared = known[self.group] & (self.split == split)
        return int(shared.sum()), len(np.unique(self.row[shared]))


def find_repeats(splits: Sequence[ScannedSplit]) -> Repeats:
    """Groups the equal pictures of all splits.

    Memory: 32 bytes for each picture while they are sorted, then 14 for each repeated one.

    Args:
      splits: the splits, whole.
    """
    hashes = np.concatenate([_hashes(split) for split in splits])
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    same = hashes[1:] == hashes[:-1]
    follows = np.concatenate([[False], same])[: len(hashes)]
    repeated = follows | np.concatenate([same, [False]])[: len(hashes)]
    firsts = repeated & ~follows
    places = order[repeated]
    members = _places(splits, places)
    return Repeats(
        num_pictures=len(hashes),
        num_distinct=len(hashes) - int(follows.sum()),
        hashes=hashes[firsts],
        group=(np.cumsum(firsts[repeated]) - 1).astype(np.int32),
        **members,
    )


def _hashes(split: ScannedSplit) -> np.ndarray:
    if split.hashes is None:
        raise ValueError(f"Duplicates need all shards of {split.name}.")
    return split.hashes


def _places(splits: Sequence[ScannedSplit], places: np.ndarray) -> dict[str, np.ndarray]:
    """Where pictures are: split, row and position, and the category of their product.

    Args:
      splits: the splits.
      places: int64 [n], ordinals of pictures, counted through all splits.
    """
    starts = np.cumsum([0, *(split.index.total_pictures for split in splits)])
    number = (np.searchsorted(starts, places, side="right") - 1).astype(np.int8)
    row = np.zeros(len(places), np.int32)
    position = np.zeros(len(places), np.uint8)
    category = np.zeros(len(places), np.int32)
    for ordinal, split in enumerate(splits):
        ends = np.cumsum(split.index.num_pictures, dtype=np.int64)
        inside = np.flatnonzero(number == ordinal)
        own = places[inside] - starts[ordinal]
        rows = np.searchsorted(ends, own, side="right")
        row[inside] = rows
        position[inside] = own - (ends[rows] - split.index.num_pictures[rows])
        category[inside] = split.index.category[rows]
    return {"split": number, "row": row, "position": position, "category": category}
