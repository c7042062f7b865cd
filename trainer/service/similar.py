"""Similar products from training beside a prediction: what they are searched with, and shown with.

The service works without them: its answers and its page then do not mention them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from trainer.data.dataset import open_dataset
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.featured_runs import FeaturedRuns, featured_runs
from trainer.prediction.loaded_runs import LoadedRuns, PicturesBySize
from trainer.prediction.similar_products import SimilarProduct, SimilarProducts
from trainer.runs.embedding_origin import EmbeddingFile, FeatureRun
from trainer.runs.folder import RunFolder
from trainer.service.similar_options import SimilarOptions
from trainer.service.thumbnails import Thumbnails


@dataclasses.dataclass(frozen=True)
class Similar:
    """Finds and shows similar products.

    Attributes:
      runs: the runs that predict, one of which gives the features.
      products: the products to compare with.
      thumbnails: their pictures.
      number: how many to name.
      spec: the split that they are of.
    """

    runs: FeaturedRuns
    products: SimilarProducts
    thumbnails: Thumbnails
    number: int
    spec: str

    @property
    def description(self) -> str:
        """What the products are, for people."""
        return f"The most similar of the {len(self.products):,} products of {self.spec}."

    def predict(
        self, pictures: PicturesBySize, ordinals: np.ndarray, asking: np.ndarray
    ) -> tuple[ProductBatch, list[tuple[SimilarProduct, ...] | None]]:
        """Predicts products, and finds the similar ones; called in the network's thread.

        Args:
          pictures, ordinals: as in `LoadedRuns.predict`.
          asking: bool [n], which products to find similar ones for.

        Returns:
          (the predictions; the similar products of each, None if they were not asked for).
        """
        batch, features = self.runs.predict(pictures, ordinals)
        found: list[tuple[SimilarProduct, ...] | None] = [None] * len(asking)
        rows = np.flatnonzero(asking)
        near = self.products.nearest(features[rows], self.number)
        for row, products in zip(rows.tolist(), near, strict=True):
            found[row] = products
        return batch, found


def load_similar(
    file: EmbeddingFile, options: SimilarOptions, runs: LoadedRuns, named: Sequence[FeatureRun]
) -> Similar:
    """Loads the products of a file of features.

    Args:
      file: the file.
      options: how they are searched, and where the data set is.
      runs: what predicts.
      named: the same runs, as their user names them; the one that gives the features knows where
        the data set is.

    Raises:
      EmbeddingFileError: if the file is damaged, or is of other weights or another data set.
      NeighbourError: if the library for an approximate search is missing.
      DatasetError, LabelMapError: if the data set is not there, or has other categories.
    """
    featured = featured_runs(runs, file, named)
    own = named[featured.place]
    run = RunFolder(own.folder)
    data = open_dataset(options.data_dir or run.config.data_dir)
    run.require_categories(data.categories)
    split = file.split_in(data, own)
    products = SimilarProducts(file.read(own), data.categories, options.method)
    return Similar(featured, products, Thumbnails(split), options.number, split.spec)
