"""Collects the first guess for every product of an evaluation."""

from __future__ import annotations

import numpy as np

from trainer.data.dataset import Split
from trainer.runs.evaluation_file import Example
from trainer.runs.guess_file import Guesses

NUM_EXAMPLES = 60  # of each kind


class FirstGuesses:
    """First guesses, batch by batch.

    Memory: 20 bytes a product.

    Args:
      split: the split.
      products: int64 [n], the positions in it of the products that will be added.
    """

    def __init__(self, split: Split, products: np.ndarray):
        self._split, self._products = split, products
        self._ordinal = np.empty(len(products), np.int64)
        self._true, self._predicted = np.empty([2, len(products)], np.int32)
        self._probability = np.empty(len(products), np.float32)
        self._count = 0

    def add(
        self, ordinals: np.ndarray, true: np.ndarray, predicted: np.ndarray, probability: np.ndarray
    ) -> None:
        """Adds products, each once.

        Args:
          ordinals: int64 [n], positions in the split.
          true, predicted: integers [n], classes.
          probability: float32 [n], of the predicted class.
        """
        rows = slice(self._count, self._count + len(ordinals))
        self._ordinal[rows], self._probability[rows] = ordinals, probability
        self._true[rows], self._predicted[rows] = true, predicted
        self._count += len(ordinals)

    def result(self) -> Guesses:
        """The guesses so far, in the order of the split."""
        order = np.argsort(self._ordinal[: self._count])
        return Guesses(
            self._split.index.product_id[self._ordinal[order]].astype(np.int64),
            self._true[order],
            self._predicted[order],
            self._probability[order],
        )

    def examples(self) -> list[Example]:
        """The wrong guesses of the highest probability, then random ones; the surest first."""
        ordinal, probability = self._ordinal[: self._count], self._probability[: self._count]
        surest = np.lexsort((ordinal, -probability))
        wrong = (self._true[: self._count] != self._predicted[: self._count])[surest]
        drawn = np.random.default_rng(0).permutation(self._products)[:NUM_EXAMPLES]
        is_drawn = np.isin(ordinal, drawn)[surest]
        chosen = np.concatenate([surest[wrong][:NUM_EXAMPLES], surest[is_drawn]])
        return [self._example(int(row)) for row in chosen]

    def _example(self, row: int) -> Example:
        true, predicted = int(self._true[row]), int(self._predicted[row])
        return Example(
            product_id=int(self._split.index.product_id[self._ordinal[row]]),
            category=true,
            predicted=predicted,
            probability=float(self._probability[row]),
            correct=true == predicted,
        )
