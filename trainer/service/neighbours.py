"""Similar products beside a prediction: what an index of the training products must offer.

The service works without one, and its answers then have no `neighbours`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from trainer.prediction.loaded_runs import PicturesBySize


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A product that looks similar.

    Attributes:
      product_id: of the product in the data set.
      path: the names of its category's levels.
      similarity: cosine of the features, -1 to 1.
    """

    product_id: int
    path: tuple[str, ...]
    similarity: float


class Neighbours(Protocol):
    """Finds similar products."""

    def near(
        self, pictures: PicturesBySize, ordinals: np.ndarray
    ) -> Sequence[tuple[Neighbour, ...]]:
        """The neighbours of some products, nearest first; called in the network's thread.

        Args:
          pictures, ordinals: as in `LoadedRuns.predict`.

        Returns:
          A tuple for each product.
        """
