"""A sample of a split's products, for fits by likelihood that need whole rows of probabilities."""

from __future__ import annotations

import numpy as np

from trainer.data.labelled_split import LabelledSplit

MOST_VALUES = 50_000_000  # 200 MB of float32


def sampled_products(labelled: LabelledSplit, rows: int = 1) -> np.ndarray:
    """Products whose probabilities fit into MOST_VALUES, always the same ones.

    With 5270 classes these are 9487 products, which determine a parameter to about a percent.

    Args:
      labelled: the products with a class are drawn from.
      rows: how many rows of probabilities to keep per product.

    Returns:
      int64, ascending ordinals; all products with a class if they fit.
    """
    most = max(1, MOST_VALUES // (labelled.label_map.num_classes * rows))
    if labelled.num_products <= most:
        return labelled.products
    return np.sort(np.random.default_rng(0).permutation(labelled.products)[:most])
