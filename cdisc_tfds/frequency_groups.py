"""Frequent, middling and rare classes.

Classes are ranked by their number of training products. The head is the first classes, which hold
a third of the training products; the middle holds the second third, the tail the last. Classes
without a training product are in the tail.
"""

from __future__ import annotations

import numpy as np

GROUPS = ("head", "middle", "tail")


def frequency_group(training_products: np.ndarray) -> np.ndarray:
    """The place in GROUPS of each class: int64 [classes].

    Args:
      training_products: int64 [classes].
    """
    order = np.argsort(-training_products, kind="stable")
    before = np.cumsum(training_products[order]) - training_products[order]
    group = np.empty(len(order), np.int64)
    group[order] = np.minimum(3 * before // max(1, training_products.sum()), 2)
    group[training_products == 0] = 2
    return group
