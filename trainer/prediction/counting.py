"""Counts how often a network is right over a split, for an evaluation."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.data.dataset import Split
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.scores import LevelSum, ProductTally, Tally, level_of_class
from trainer.runs.evaluation_file import (
    Accuracies,
    Counts,
    Deduplicated,
    Example,
    LevelAccuracies,
)

LEVELS = ("level1", "level2")
NUM_EXAMPLES = 60  # of each kind
_GUESS = np.dtype([("ordinal", "i8"), ("label", "i8"), ("predicted", "i8"), ("probability", "f4")])


class EvaluationError(ValueError):
    """A split that a run cannot be evaluated on."""


class Evaluation:
    """Counts over the products of a split, batch by batch.

    Args:
      labelled: the products and their classes.
      unseen: bool [products of the split], marks those that share no picture with training; None if
        unknown.
    """

    def __init__(self, labelled: LabelledSplit, unseen: np.ndarray | None = None):
        split, label_map = labelled.split, labelled.label_map
        self._split, self._unseen = split, unseen
        self._classes = labelled.classes
        self.products = labelled.products
        self._unlabelled = int((split.index.category < 0).sum())
        self._check_labelled()
        self._tally, self._deduplicated = ProductTally(self._classes), Tally()
        self._levels = [_Level(label_map, self._classes, level) for level in LEVELS]
        self._level1_names = label_map.categories.level1_names
        self._without_picture = 0
        self._wrong = _Examples()
        self._random = _Examples()
        drawn = np.random.default_rng(0).permutation(self.products)[:NUM_EXAMPLES]
        self._drawn = np.zeros(split.num_products, bool)
        self._drawn[drawn] = True

    def _check_labelled(self) -> None:
        if self._unlabelled == self._split.num_products:
            raise EvaluationError(
                f"The split {self._split.spec!r} has no labels to compare with. Write its "
                "predictions with `python -m trainer.submit`, or choose a labelled --split."
            )
        if not len(self.products):
            raise EvaluationError(
                f"No product of the split {self._split.spec!r} belongs to a class of this run. "
                "Choose another --split."
            )

    @property
    def num_done(self) -> int:
        """Number of products counted so far."""
        return self._tally.by_product.count

    def add(self, batch: ProductBatch) -> None:
        """Adds a batch to the counts."""
        classes = self._classes[batch.ordinals]
        predicted = self._tally.add(batch)
        for level in self._levels:
            level.add(batch)
        if self._unseen is not None:
            rows = self._unseen[batch.ordinals]
            self._deduplicated.add(batch.probabilities[rows], classes[rows])
        self._without_picture += int((batch.num_pictures == 0).sum())
        sureness = batch.probabilities[np.arange(len(predicted)), predicted]
        guesses = np.empty(len(predicted), _GUESS)
        guesses["ordinal"], guesses["label"] = batch.ordinals, classes
        guesses["predicted"], guesses["probability"] = predicted, sureness
        self._wrong.add(guesses[predicted != classes])
        self._random.add(guesses[self._drawn[batch.ordinals]])

    def result(self) -> Counts:
        """The counts so far."""
        level1, level2 = self._levels
        unique = self._deduplicated
        picture, product = self._tally.by_picture, self._tally.by_product
        return Counts(
            num_products=product.count,
            num_pictures=picture.count,
            num_without_picture=self._without_picture,
            num_unlabelled=self._unlabelled,
            num_foreign=self._split.num_products - self._unlabelled - len(self.products),
            picture=_accuracies(picture),
            product=_accuracies(product),
            level1=level1.result(),
            level2=level2.result(),
            deduplicated=Deduplicated(unique.count, unique.accuracy, unique.top5_accuracy)
            if unique.count
            else None,
            level1_names=self._level1_names,
            level1_confusion=level1.confusion.tolist(),
            examples=self._wrong.rows(self._split) + self._random.rows(self._split),
        )


class _Level:
    """Counts at one level of the hierarchy, unless the run's classes are coarser."""

    def __init__(self, label_map: LabelMap, classes: np.ndarray, level: str):
        label_of_class = level_of_class(label_map, level)
        num_labels = len(getattr(label_map.categories, f"{level}_names"))
        self.confusion = np.zeros([num_labels, num_labels], np.int64)
        self._tally: ProductTally | None = None
        if label_of_class is not None:
            # A product without a class is never counted.
            self._labels = np.where(classes >= 0, label_of_class[classes], -1)
            self._sum = LevelSum(label_of_class, num_labels)
            self._tally = ProductTally(self._labels)

    def add(self, batch: ProductBatch) -> None:
        if self._tally is None:
            return
        predicted = self._tally.add(
            dataclasses.replace(
                batch,
                probabilities=self._sum(batch.probabilities),
                picture_probabilities=self._sum(batch.picture_probabilities),
            )
        )
        np.add.at(self.confusion, (self._labels[batch.ordinals], predicted), 1)

    def result(self) -> LevelAccuracies | None:
        if self._tally is None:
            return None
        product, picture = self._tally.by_product, self._tally.by_picture
        return LevelAccuracies(
            product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
        )


class _Examples:
    """The guesses with the highest probability so far, at most NUM_EXAMPLES."""

    def __init__(self) -> None:
        self._best: np.ndarray | None = None

    def add(self, guesses: np.ndarray) -> None:
        best = guesses if self._best is None else np.concatenate([self._best, guesses])
        order = np.lexsort([best["ordinal"], -best["probability"]])
        self._best = best[order[:NUM_EXAMPLES]]

    def rows(self, split: Split) -> list[Example]:
        return [
            Example(
                product_id=int(split.index.product_id[guess["ordinal"]]),
                category=int(guess["label"]),
                predicted=int(guess["predicted"]),
                probability=float(guess["probability"]),
                correct=bool(guess["label"] == guess["predicted"]),
            )
            for guess in ([] if self._best is None else self._best)
        ]


def _accuracies(tally: Tally) -> Accuracies:
    return Accuracies(tally.accuracy, tally.top5_accuracy, tally.loss)
