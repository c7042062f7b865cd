"""Fits the weights of several runs (`--run_weights=fit`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.joining_rules import SMALLEST, logarithms
from trainer.prediction.likelihood import sampled_products
from trainer.prediction.mixture import aligned
from trainer.prediction.simplex import Objective, minimise_on_simplex
from trainer.prediction.sources import Source
from trainer.runs.prediction_method import WeightFit


def fit_weights(
    sources: Sequence[Source], labelled: LabelledSplit, mean: str
) -> tuple[tuple[float, ...], WeightFit]:
    """Fits the weights of runs: those with the highest likelihood of the true classes.

    The problem is convex for both means. The arithmetic one needs a run's probability of the true
    class alone, for every product; the geometric one needs whole rows, and takes them from a
    sample that fits `likelihood.MOST_VALUES`.

    Args:
      sources: the runs.
      labelled: products that none of them was trained on.
      mean: `arithmetic` or `geometric`.

    Returns:
      (weights that sum to 1, how they were fitted).
    """
    geometric = mean == "geometric"
    products = sampled_products(labelled, len(sources)) if geometric else labelled.products
    own: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    line = ProgressLine(f"fitting weights on {labelled.split.spec}", len(products), "products")
    done = 0
    for batches in aligned([source.predict(labelled.split, products) for source in sources]):
        classes = labelled.classes[batches[0].ordinals]
        places = np.arange(len(classes))
        own.append(np.stack([batch.probabilities[places, classes] for batch in batches], axis=1))
        if geometric:
            rows.append(np.stack([logarithms(batch.probabilities) for batch in batches], axis=1))
        done += len(classes)
        line.update(done)
    line.close()
    probabilities = np.concatenate(own)
    objective = (
        _geometric_loss(logarithms(probabilities), np.concatenate(rows))
        if geometric
        else _arithmetic_loss(probabilities)
    )
    weights = minimise_on_simplex(objective, len(sources))
    equal = np.full(len(sources), 1 / len(sources))
    fit = WeightFit(
        split=labelled.split.spec,
        num_products=len(products),
        loss=objective(weights)[0],
        loss_of_equal_weights=objective(equal)[0],
    )
    return tuple(weights.tolist()), fit


def _arithmetic_loss(own: np.ndarray) -> Objective:
    """Loss of mixtures, from the runs' probabilities of the true class: float32 [n, runs]."""
    own = np.maximum(own, SMALLEST).astype(np.float64)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = own @ weights
        return -float(np.log(mixed).mean()), -(own / mixed[:, None]).mean(axis=0)

    return loss


def _geometric_loss(own: np.ndarray, rows: np.ndarray) -> Objective:
    """The same from logarithms: of the true class [n, runs], and of all [n, runs, classes]."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.einsum("nrc,r->nc", rows, weights.astype(np.float32))
        largest = logits.max(axis=1, keepdims=True)
        mixed = np.exp(logits - largest)
        total = mixed.sum(axis=1, keepdims=True)
        log_total = (np.log(total) + largest)[:, 0].astype(np.float64)
        value = float((log_total - own @ weights).mean())
        expected = np.einsum("nrc,nc->nr", rows, mixed / total)
        return value, (expected - own).mean(axis=0, dtype=np.float64)

    return loss
