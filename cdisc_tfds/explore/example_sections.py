"""Section of the page: examples of each category; and which products they are of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.explore.category_counts import CategoryCounts
from cdisc_tfds.explore.pictures import Place
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.pages.shots import Shot, shots
from cdisc_tfds.records import UNLABELLED


@dataclasses.dataclass(frozen=True)
class Examples:
    """Random products of some categories.

    Attributes:
      of_category: label -> the first pictures of its products; empty if no product of the category
        was in the shards that were read. The largest category of each level 1 comes first, then
        the second largest of each, and so on.
      num_left_out: categories with products that the limit leaves out.
    """

    of_category: Mapping[int, Sequence[Place]]
    num_left_out: int

    @classmethod
    def choose(
        cls,
        splits: Sequence[ScannedSplit],
        counts: CategoryCounts,
        *,
        number: int,
        limit: int,
        rng: np.random.Generator,
    ) -> Examples:
        """Chooses at most `number` products of a category, and at most `limit` in all."""
        candidates = _Candidates.of(splits, len(counts.products))
        chosen: dict[int, list[Place]] = {}
        labels = _in_turns(counts)
        left = limit
        for label in labels if number else ():
            if left < min(number, int(counts.products[label])):
                break
            chosen[label] = candidates.sample(label, number, rng)
            left -= len(chosen[label])
        return cls(chosen, len(labels) - len(chosen))

    @property
    def places(self) -> list[Place]:
        return [place for places in self.of_category.values() for place in places]


def _in_turns(counts: CategoryCounts) -> list[int]:
    """The labels with products: the largest of each level 1, then the second largest, ..."""
    turn: dict[int, int] = {}
    turns = []
    for rank, label in enumerate(counts.ranked.tolist()):
        if counts.products[label]:
            level1 = int(counts.categories.level1[label])
            turn[level1] = turn.get(level1, 0) + 1
            turns.append((turn[level1], rank, label))
    return [label for _, _, label in sorted(turns)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidates:
    """The labelled products with a picture in the shards that were read, by category."""

    starts: np.ndarray  # int64 [categories + 1], the first one of each category
    split: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, splits: Sequence[ScannedSplit], num_categories: int) -> _Candidates:
        rows = [
            np.flatnonzero(
                (split.offsets >= 0)
                & (split.index.num_pictures > 0)
                & (split.index.category != UNLABELLED)
            ).astype(np.int32)
            for split in splits
        ]
        category = np.concatenate(
            [split.index.category[mine] for split, mine in zip(splits, rows, strict=True)]
        )
        order = np.argsort(category, kind="stable")
        number = np.repeat(np.arange(len(splits), dtype=np.int8), [len(mine) for mine in rows])
        sizes = np.bincount(category, minlength=num_categories)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return cls(starts, number[order], np.concatenate(rows)[order])

    def sample(self, label: int, number: int, rng: np.random.Generator) -> list[Place]:
        first, last = self.starts[label : label + 2]
        number = min(number, int(last - first))
        found = np.sort(first + rng.choice(last - first, number, replace=False))
        return [Place(int(self.split[place]), int(self.row[place]), 0) for place in found]


def random_places(
    splits: Sequence[ScannedSplit], number: int, rng: np.random.Generator
) -> list[list[Place]]:
    """The first pictures of some random products of each split."""
    places = []
    for ordinal, split in enumerate(splits):
        rows = np.flatnonzero((split.offsets >= 0) & (split.index.num_pictures > 0))
        chosen = np.sort(rng.choice(rows, min(number, len(rows)), replace=False))
        places.append([Place(ordinal, int(row), 0) for row in chosen])
    return places


def examples(
    chosen: Examples,
    splits: Sequence[ScannedSplit],
    counts: CategoryCounts,
    pictures: Mapping[Place, bytes],
) -> Markup:
    """The first picture of some random products of each category, by level 1."""
    by_level1: dict[int, list[int]] = {}
    for label in chosen.of_category:
        by_level1.setdefault(int(counts.categories.level1[label]), []).append(label)
    if not by_level1:
        return Markup("<p>None.</p>")
    left_out = (
        f" Left out, because --max_examples limits the page: {chosen.num_left_out:,} categories."
        if chosen.num_left_out
        else ""
    )
    note = (
        "The first picture of random products, with its product_id. In brackets: the category's "
        f"number of products.{left_out}"
    )
    groups = Markup("\n").join(
        Markup('<details{}><summary>{}</summary><div class="cells">{}</div></details>').format(
            Markup(" open") if place == 0 else "",
            f"{counts.categories.level1_names[level1]} ({len(labels):,})",
            Markup("\n").join(
                _category(label, chosen.of_category[label], splits, counts, pictures)
                for label in labels
            ),
        )
        for place, (level1, labels) in enumerate(by_level1.items())
    )
    return Markup('<p class="note">{}</p>\n{}').format(note, groups)


def _category(
    label: int,
    places: Sequence[Place],
    splits: Sequence[ScannedSplit],
    counts: CategoryCounts,
    pictures: Mapping[Place, bytes],
) -> Markup:
    shown = [
        Shot(pictures[place], f"{splits[place.split].index.product_id[place.row]}")
        for place in places
    ]
    path = " > ".join(counts.categories.path_of(label)[1:])
    return Markup("<div><h3>{}</h3>\n{}</div>").format(
        f"{path} ({counts.products[label]:,})",
        shots(shown) if shown else Markup("<p>None in the shards read.</p>"),
    )
