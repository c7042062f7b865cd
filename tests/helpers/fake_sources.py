"""Sources that predict chosen probabilities, without a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from trainer.data.dataset import Split
from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import Pictures, ProductBatch
from trainer.prediction.predictor import joined_products


@dataclasses.dataclass(frozen=True)
class FakeSource:
    """Predicts given probabilities, float32 [products of the split, classes], of every picture.

    Attributes:
      label_map: the meaning of the classes.
      rows: the probabilities of each product's pictures.
      counts: int [products], number of pictures of each product.
      batch_size: pictures per batch.
    """

    label_map: LabelMap
    rows: np.ndarray
    counts: np.ndarray
    batch_size: int = 3

    def pictures(self, split: Split, products: np.ndarray) -> Iterator[Pictures]:
        ordinals = np.repeat(products, self.counts[products])
        for start in range(0, len(ordinals), self.batch_size):
            own = ordinals[start : start + self.batch_size]
            yield own, self.rows[own].astype(np.float32)

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        if products is None:
            products = np.arange(split.num_products)
        classes = self.label_map.num_classes
        return joined_products(
            self.pictures(split, products),
            products,
            mean="arithmetic",
            prior=np.full(classes, 1 / classes, np.float32),
            batch_size=2,
        )


def collected(batches: Iterable[ProductBatch]) -> ProductBatch:
    """All batches as one."""
    parts = list(batches)
    fields = [field.name for field in dataclasses.fields(ProductBatch)]
    return ProductBatch(
        *(np.concatenate([getattr(part, field) for part in parts]) for field in fields)
    )
