"""Chooses the rule that joins a product's pictures (`--mean=auto`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.data.dataset import Split
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import Pictures, groups_of, whole_products
from trainer.prediction.joining_rules import MEANS, join
from trainer.prediction.predictor import PredictionError
from trainer.runs.prediction_method import MeanChoice

DEFAULT = "arithmetic"
AUTO = "auto"


class PictureSource(Protocol):
    """Predicts the pictures of products, one by one."""

    def pictures(self, split: Split, products: np.ndarray) -> Iterator[Pictures]:
        """As `predict_pictures`."""


def choose_mean(source: PictureSource, labelled: LabelledSplit) -> MeanChoice:
    """Chooses the rule with the highest accuracy by product; of equals, the first in MEANS.

    One pass over the pictures serves all rules. Memory: a byte per rule and product.

    Args:
      source: predicts the pictures.
      labelled: the products to choose on; those without a readable picture count for no rule.

    Raises:
      PredictionError: if no product has one of the run's classes.
    """
    products = labelled.products
    if not len(products):
        raise PredictionError(
            f"--mean=auto chooses on products with a class of the run. The split "
            f"{labelled.split.spec!r} has none. Name a rule instead: --mean=arithmetic."
        )
    right = np.zeros([len(MEANS), labelled.split.num_products], bool)
    line = ProgressLine(f"choosing --mean on {labelled.split.spec}", len(products), "products")
    done = 0
    for ordinals, probabilities in whole_products(source.pictures(labelled.split, products)):
        groups = groups_of(ordinals)
        own = ordinals[groups.starts]
        for number, rule in enumerate(MEANS):
            predicted = join(probabilities, groups, rule).argmax(axis=1)
            right[number, own] = predicted == labelled.classes[own]
        done += len(own)
        line.update(done)
    line.close()
    best = int(right.sum(axis=1).argmax())
    difference = right[best, products].astype(np.int8) - right[MEANS.index(DEFAULT), products]
    return MeanChoice(
        mean=MEANS[best],
        default=DEFAULT,
        split=labelled.split.spec,
        num_products=len(products),
        gain=float(difference.mean()),
        standard_error=float(difference.std() / np.sqrt(len(products))),
    )


def choice_text(choice: MeanChoice) -> str:
    """A choice as a sentence."""
    if choice.mean == choice.default:
        return f"--mean=auto: on {choice.split}, no rule is better than {choice.default}."
    chance = ", so it may be chance" if choice.gain < 2 * choice.standard_error else ""
    return (
        f"--mean=auto: {choice.mean}, which on {choice.split} ({choice.num_products:,} products) "
        f"beats {choice.default} by {choice.gain:.4f} (standard error "
        f"{choice.standard_error:.4f}{chance})."
    )
