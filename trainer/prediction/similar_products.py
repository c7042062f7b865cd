"""Products in memory that others are compared with: which of them look most similar."""

from __future__ import annotations

import dataclasses

import numpy as np

from cdisc_tfds.categories import Categories
from trainer.prediction.neighbours import ExactIndex, index_of
from trainer.runs.embedding_file import Embeddings


@dataclasses.dataclass(frozen=True)
class SimilarProduct:
    """A product that looks similar.

    Attributes:
      product_id: of the product in the data set.
      category_id: of its label; None if it has none.
      path: the names of its category's levels; empty without a label.
      similarity: cosine of the features, -1 to 1.
    """

    product_id: int
    category_id: int | None
    path: tuple[str, ...]
    similarity: float


class SimilarProducts:
    """The products of a file of features.

    Args:
      embeddings: the file's content.
      categories: the categories of its labels.
      search: how they are searched, one of `embedding_options.SEARCHES`.

    Raises:
      NeighbourError: if the library for an approximate search is missing.
    """

    def __init__(self, embeddings: Embeddings, categories: Categories, search: str = "auto"):
        self._ids, self._labels = embeddings.product_id, embeddings.category_id
        self._categories = categories
        index = index_of(embeddings.features, search)
        self._index = index.on_device() if isinstance(index, ExactIndex) else index

    def __len__(self) -> int:
        return len(self._ids)

    def nearest(self, features: np.ndarray, number: int) -> list[tuple[SimilarProduct, ...]]:
        """The products that are most similar to each of some others, most similar first.

        Args:
          features: float32 [n, f], of length 1, of the weights that the file was made from.
          number: of products for each; fewer if there are not as many.
        """
        places, cosines = self._index.nearest(features, min(number, len(self)))
        return [
            tuple(self._product(*one) for one in zip(row, values, strict=True))
            for row, values in zip(places.tolist(), cosines.tolist(), strict=True)
        ]

    def _product(self, place: int, cosine: float) -> SimilarProduct:
        category_id = int(self._labels[place])
        product_id = int(self._ids[place])
        if category_id == -1:
            return SimilarProduct(product_id, None, (), cosine)
        path = self._categories.path_of(self._categories.label_of(category_id))
        return SimilarProduct(product_id, category_id, path, cosine)
