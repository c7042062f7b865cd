"""Pairs of products that look nearly the same."""

from __future__ import annotations

import csv
import dataclasses
import pathlib

import numpy as np

from cdisc_tfds.whole_files import whole_file
from trainer.data.product_places import ProductPlaces
from trainer.runs.embedding_file import Embeddings

COLUMNS = (
    *("similarity", "same_category", "product_id", "category_id"),
    *("other_product_id", "other_category_id"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Pairs of products, those of different categories first, each with the most similar first.

    Attributes:
      product_id, other_product_id: int64 [p].
      category_id, other_category_id: int64 [p]; -1 if unlabelled.
      similarity: float32 [p], cosine.
    """

    product_id: np.ndarray
    other_product_id: np.ndarray
    category_id: np.ndarray
    other_category_id: np.ndarray
    similarity: np.ndarray

    @classmethod
    def of(
        cls, embeddings: Embeddings, least: float, among: Embeddings | None = None
    ) -> NearDuplicates:
        """The pairs of neighbours that are at least this similar; each pair once.

        Args:
          embeddings: with neighbours.
          least: the least cosine.
          among: the products that the neighbours are; default: those of `embeddings`. With them,
            `other_product_id` is always one of them.
        """
        assert embeddings.neighbour_id is not None and embeddings.similarity is not None
        others = embeddings if among is None else among
        rows, columns = np.nonzero(embeddings.similarity >= np.float32(least))
        similarity = embeddings.similarity[rows, columns]
        places = ProductPlaces(others.product_id).of(embeddings.neighbour_id[rows, columns])
        if among is None:
            rows, places = np.minimum(rows, places), np.maximum(rows, places)
        ids = np.stack([embeddings.product_id[rows], others.product_id[places]], axis=1)
        _, once = np.unique(np.sort(ids, axis=1), axis=0, return_index=True)
        own, other = embeddings.category_id[rows], others.category_id[places]
        order = [column[once] for column in (places, rows, -similarity, own == other)]
        best = once[np.lexsort(order)]
        return cls(ids[best, 0], ids[best, 1], own[best], other[best], similarity[best])

    def __len__(self) -> int:
        return len(self.similarity)

    @property
    def same_category(self) -> np.ndarray:
        """Whether both are of one category: bool [p]; two unlabelled ones count as such."""
        return self.category_id == self.other_category_id

    def write(self, path: pathlib.Path) -> None:
        """Writes the pairs as CSV, whole or not at all."""
        with whole_file(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in zip(
                self.similarity.astype(str).tolist(),
                np.where(self.same_category, "true", "false").tolist(),
                self.product_id.tolist(),
                self.category_id.tolist(),
                self.other_product_id.tolist(),
                self.other_category_id.tolist(),
                strict=True,
            ):
                writer.writerow(row)
