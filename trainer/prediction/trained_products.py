"""The products that runs were trained on, and what follows from them for other products."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import CdiscountData, Split, products_in_common
from trainer.data.duplicates import known_categories, unseen_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.priors import training_splits
from trainer.runs.folder import RunFolder


class KnownPicturesError(ValueError):
    """Known pictures cannot be looked up."""


@dataclasses.dataclass(frozen=True)
class TrainedProducts:
    """The products that runs were trained on.

    Attributes:
      splits: the training splits of the runs, each once.
      common: bool [products of the first split], those that all runs were trained on.
    """

    splits: tuple[Split, ...]
    common: np.ndarray

    @classmethod
    def of(cls, runs: Sequence[RunFolder], data: CdiscountData) -> TrainedProducts | None:
        """Reads the indexes; None, with a warning, if `data` lacks one of the splits."""
        found: dict[str, Split] = {}
        for run in runs:
            own = training_splits(data, run.config)
            if own is None:
                return None
            found |= {split.spec: split for split in own}
        splits = tuple(found.values())
        common = np.ones(splits[0].num_products, bool)
        for split in splits[1:]:
            common &= np.isin(splits[0].index.product_id, split.index.product_id)
        return cls(splits, common)

    def unseen(self, products: Split) -> np.ndarray:
        """Which products share no picture with any of the runs: bool [products of the split]."""
        return np.logical_and.reduce([unseen_products(products, split) for split in self.splits])

    def by_class(self, label_map: LabelMap) -> np.ndarray:
        """How many of the products that all runs were trained on a class has: int64 [classes]."""
        classes = LabelledSplit(self.splits[0], label_map).classes[self.common]
        return np.bincount(classes[classes >= 0], minlength=label_map.num_classes)


def known_classes(
    products: Split, trained: TrainedProducts | None, label_map: LabelMap
) -> np.ndarray:
    """The class that known pictures name, as in `known_categories`: int32 [products of the split].

    Pictures are known if products show them that all runs were trained on. -1: none.

    Raises:
      KnownPicturesError: if the training split is not at hand, or shares products with `products`.
    """
    if trained is None:
        raise KnownPicturesError(
            "--known_pictures needs the run's training split, which the data set does not hold. "
            "Choose the data set that the run was trained on with --data_dir."
        )
    for split in trained.splits:
        if number := len(products_in_common(products, split)):
            raise KnownPicturesError(
                "--known_pictures looks pictures up in other products than those predicted. "
                f"{products.spec} shares {number:,} products with the training split {split.spec}. "
                "Choose another --split, or leave the flag out."
            )
    return label_map.classes_of(known_categories(products, trained.splits[0], trained.common))
