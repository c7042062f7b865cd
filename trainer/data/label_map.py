"""The map from a data set's categories to a run's classes, the outputs of its network."""

from __future__ import annotations

import dataclasses
import functools
import hashlib

import numpy as np

from cdisc_tfds.categories import Categories

TARGETS = ("category", "level1", "level2")


class LabelMapError(ValueError):
    """A run and a data set (or a command) disagree on what the classes mean."""


@dataclasses.dataclass(frozen=True, eq=False)
class LabelMap:
    """The classes of one run.

    Args:
      categories: the data set's categories, in the order of `category_names.csv`.
      target: what the network predicts: `category`, `level1` or `level2`.
      within_level1: label (0 to 48) of the level-1 category that a specialist covers; None for a
        network that covers them all. Only with `target='category'`.
    """

    categories: Categories
    target: str = "category"
    within_level1: int | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise LabelMapError(
                f"`target` must be one of {', '.join(TARGETS)}. Received: {self.target!r}."
            )
        if self.within_level1 is None:
            return
        if self.target != "category":
            raise LabelMapError(
                "A network within one level-1 category tells categories apart: `within_level1` "
                f"needs `target='category'`. Received: target={self.target!r}."
            )
        num_level1 = len(self.categories.level1_names)
        if not 0 <= self.within_level1 < num_level1:
            raise LabelMapError(
                f"`within_level1` must be a level-1 label from 0 to {num_level1 - 1}. "
                f"Received: {self.within_level1}."
            )

    @functools.cached_property
    def class_of_category(self) -> np.ndarray:
        """The run's class of each category label, or -1 if it has none: int32 [categories]."""
        categories = self.categories
        if self.target == "level1":
            return categories.level1.astype(np.int32)
        if self.target == "level2":
            return categories.level2.astype(np.int32)
        classes = np.arange(categories.num_categories, dtype=np.int32)
        if self.within_level1 is None:
            return classes
        inside = categories.level1 == self.within_level1
        return np.where(inside, np.cumsum(inside) - 1, -1).astype(np.int32)

    @functools.cached_property
    def category_of_class(self) -> np.ndarray:
        """The category label of each class: int32 [classes]; only if `target='category'`."""
        if self.target != "category":
            raise LabelMapError(
                f"Only a network of categories names one for each class. This one has the target "
                f"{self.target}."
            )
        return np.flatnonzero(self.class_of_category >= 0).astype(np.int32)

    @functools.cached_property
    def class_names(self) -> list[str]:
        """A readable name per class: a category's level-3 name, or the name at the target level."""
        if self.target == "level1":
            return list(self.categories.level1_names)
        if self.target == "level2":
            return list(self.categories.level2_names)
        return [self.categories.level3_names[label] for label in self.category_of_class]

    @functools.cached_property
    def full_names(self) -> list[str]:
        """The name of each class with its levels; for categories, "level 1 > level 2 > level 3"."""
        if self.target != "category":
            return self.class_names
        categories = self.categories
        return [
            f"{categories.level2_names[categories.level2[label]]} > "
            f"{categories.level3_names[label]}"
            for label in self.category_of_class
        ]

    @functools.cached_property
    def paths(self) -> list[tuple[str, ...]]:
        """The names of each class's levels, from level 1 to that of the target."""
        categories = self.categories
        depth = {"level1": 1, "level2": 2, "category": 3}[self.target]
        found: dict[int, tuple[str, ...]] = {}
        for label, one in enumerate(self.class_of_category.tolist()):
            level1 = categories.level1_names[categories.level1[label]]
            level2 = categories.level2_names[categories.level2[label]]
            # level2_names are "level 1 > level 2".
            names = (level1, level2[len(f"{level1} > ") :], categories.level3_names[label])
            found.setdefault(one, names[:depth])
        return [found[one] for one in range(self.num_classes)]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the categories' order and hierarchy and of this map's classes."""
        digest = hashlib.sha256()
        for array in (
            self.categories.category_ids.astype("<i8"),
            self.categories.level1.astype("<i4"),
            self.categories.level2.astype("<i4"),
            self.class_of_category.astype("<i4"),
        ):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def classes_of(self, category: np.ndarray) -> np.ndarray:
        """Maps category labels to the run's classes, int32; -1 for none or a foreign category."""
        category = np.asarray(category)
        return np.where(category < 0, -1, self.class_of_category[np.maximum(category, 0)])
