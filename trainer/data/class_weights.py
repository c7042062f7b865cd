"""Weights that make rare classes count for more."""

from __future__ import annotations

import numpy as np


def balanced_weights(pictures_of_class: np.ndarray, exponent: float) -> np.ndarray:
    """Weights that favour rare classes: count ** -exponent, with mean 1 over the pictures.

    Args:
      pictures_of_class: integers [classes], number of training pictures.
      exponent: 0 weighs all pictures alike, 1 all classes.

    Returns:
      float32 [classes]; 0 for a class without a picture.
    """
    counts = np.asarray(pictures_of_class, np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -exponent, 0)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
