"""Counts by class, and by how frequent the class is in training."""

from __future__ import annotations

import numpy as np

from cdisc_tfds.frequency_groups import GROUPS, frequency_group
from trainer.data.label_map import LabelMap
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_parts import FrequencyGroup


class ClassCounts:
    """Products by true and by predicted class, at one level.

    Args:
      num_classes: number of classes.

    Attributes:
      true, predicted, right: int64 [classes], products of the class, products predicted as it, and
        products of it that were.
    """

    def __init__(self, num_classes: int):
        self.true, self.predicted, self.right = np.zeros([3, num_classes], np.int64)

    def add(self, classes: np.ndarray, predicted: np.ndarray) -> None:
        """Adds products by their true and predicted classes: integers [n]."""
        size = len(self.true)
        self.true += np.bincount(classes, minlength=size)
        self.predicted += np.bincount(predicted, minlength=size)
        self.right += np.bincount(classes[classes == predicted], minlength=size)

    @property
    def recall(self) -> np.ndarray:
        """Share of each class's products that is recognised: float64 [classes], NaN without."""
        return _ratio(self.right, self.true)

    @property
    def precision(self) -> np.ndarray:
        """Share of the products predicted as a class that are of it: float64, NaN without."""
        return _ratio(self.right, self.predicted)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


class GroupCounts:
    """Right first guesses at each level, by the frequency group of the true class.

    Args:
      training_products: int64 [classes].
      levels: names of the levels to count besides the classes.
    """

    def __init__(self, training_products: np.ndarray, levels: tuple[str, ...]):
        self.group_of_class = frequency_group(training_products)
        self._count = np.zeros(len(GROUPS), np.int64)
        self._right = {level: np.zeros(len(GROUPS), np.int64) for level in ("class", *levels)}

    def add(self, classes: np.ndarray, right: dict[str, np.ndarray]) -> None:
        """Adds products.

        Args:
          classes: integers [n], the true classes.
          right: for `class` and each level, bool [n], whether the first guess is right.
        """
        groups = self.group_of_class[classes]
        self._count += np.bincount(groups, minlength=len(GROUPS))
        for level, rights in self._right.items():
            rights += np.bincount(groups[right[level]], minlength=len(GROUPS))

    def result(self, recall: np.ndarray) -> tuple[FrequencyGroup, ...]:
        """The groups; `recall` is that of each class: float64 [classes], NaN without products."""
        return tuple(self._group(place, recall) for place in range(len(GROUPS)))

    def _group(self, place: int, recall: np.ndarray) -> FrequencyGroup:
        inside, count = self.group_of_class == place, int(self._count[place])
        recalls = recall[inside & ~np.isnan(recall)]
        shares = {
            level: int(rights[place]) / count if count else None
            for level, rights in self._right.items()
        }
        return FrequencyGroup(
            name=GROUPS[place],
            num_classes=int(inside.sum()),
            num_products=count,
            accuracy=shares["class"],
            mean_recall=float(recalls.mean()) if len(recalls) else None,
            level1=shares.get("level1"),
            level2=shares.get("level2"),
        )


def category_rows(
    label_map: LabelMap,
    counts: dict[str, ClassCounts],
    training_products: np.ndarray | None,
    group_of_class: np.ndarray | None,
) -> tuple[CategoryRow, ...]:
    """Rows for the classes, then for the categories of each coarser level.

    Args:
      label_map: the meaning of the classes.
      counts: of the `class`es, and of the levels `level2` and `level1`, where there are any.
      training_products: int64 [classes]; None if unknown.
      group_of_class: int64 [classes], places in GROUPS; None if unknown.
    """
    categories = label_map.categories
    own_level = {"category": 3, "level2": 2, "level1": 1}[label_map.target]
    rows = []
    for name, level, names in (
        ("class", own_level, label_map.full_names),
        ("level2", 2, categories.level2_names),
        ("level1", 1, categories.level1_names),
    ):
        if name not in counts or (name != "class" and level >= own_level):
            continue
        table, is_class = counts[name], name == "class"
        for label, title in enumerate(names):
            has_id = is_class and own_level == 3
            rows.append(
                CategoryRow(
                    level=level,
                    category_id=int(categories.category_ids[label_map.category_of_class[label]])
                    if has_id
                    else None,
                    name=title,
                    group=GROUPS[group_of_class[label]]
                    if is_class and group_of_class is not None
                    else None,
                    training_products=int(training_products[label])
                    if is_class and training_products is not None
                    else None,
                    products=int(table.true[label]),
                    predicted=int(table.predicted[label]),
                    right=int(table.right[label]),
                )
            )
    return tuple(rows)
