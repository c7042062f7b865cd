"""Counts how often a network is right over a split, for an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.class_counts import ClassCounts, GroupCounts, category_rows
from trainer.prediction.first_guesses import FirstGuesses
from trainer.prediction.reliability import Confidences
from trainer.prediction.scores import LevelSum, ProductTally, Tally, level_of_class
from trainer.prediction.temperature import tempered_batch
from trainer.runs.calibration_file import Calibration
from trainer.runs.category_file import CategoryRow
from trainer.runs.evaluation_file import (
    Accuracies,
    Counts,
    Deduplicated,
    LevelAccuracies,
)
from trainer.runs.evaluation_parts import KnownPictures
from trainer.runs.guess_file import Guesses

LEVELS = ("level1", "level2")


class EvaluationError(ValueError):
    """A split that a run cannot be evaluated on."""


@dataclasses.dataclass(frozen=True)
class Background:
    """What an evaluation knows besides the predictions; each part may be unknown (None).

    Attributes:
      unseen: bool [products of the split], marks those that share no picture with training.
      training_products: int64 [classes], training products of each class.
      known: int32 [products of the split], the class that a known picture names, or -1.
      calibration: the temperatures to apply.
    """

    unseen: np.ndarray | None = None
    training_products: np.ndarray | None = None
    known: np.ndarray | None = None
    calibration: Calibration | None = None


class Evaluation:
    """Counts over the products of a split, batch by batch.

    Args:
      labelled: the products and their classes.
      background: what else is known.
    """

    def __init__(self, labelled: LabelledSplit, background: Background | None = None):
        self._split, self._label_map = labelled.split, labelled.label_map
        self._background = background = background or Background()
        self._classes = labelled.classes
        self.products = labelled.products
        self._unlabelled = int((self._split.index.category < 0).sum())
        self._check_labelled()
        self._tally, self._deduplicated = ProductTally(self._classes), Tally()
        self._by_class = ClassCounts(self._label_map.num_classes)
        self._levels = {
            level: _Level(label_of_class, self._classes, len(names))
            for level, label_of_class, names in _coarser_levels(self._label_map)
        }
        self._groups = (
            None
            if background.training_products is None
            else GroupCounts(background.training_products, tuple(self._levels))
        )
        calibrated = background.calibration is not None
        self._confidences = Confidences(len(self.products), calibrated)
        self._known = None if background.known is None else _Known(background.known)
        self._without_picture = 0
        self._guesses = FirstGuesses(self._split, self.products)

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
        """Adds a batch, without temperature, to the counts."""
        untempered = batch.probabilities
        if self._background.calibration is not None:
            batch = tempered_batch(batch, self._background.calibration)
        classes = self._classes[batch.ordinals]
        predicted = self._tally.add(batch)
        rows = np.arange(len(predicted))
        sureness = batch.probabilities[rows, predicted]
        right = {"class": predicted == classes}
        right |= {name: level.add(batch) for name, level in self._levels.items()}
        self._by_class.add(classes, predicted)
        self._confidences.add(sureness, right["class"], untempered[rows, predicted])
        if self._groups is not None:
            self._groups.add(classes, right)
        if self._known is not None:
            self._known.add(batch.ordinals, classes, predicted)
        if self._background.unseen is not None:
            unseen = self._background.unseen[batch.ordinals]
            self._deduplicated.add(batch.probabilities[unseen], classes[unseen])
        self._without_picture += int((batch.num_pictures == 0).sum())
        self._guesses.add(batch.ordinals, classes, predicted, sureness)

    def result(self) -> Counts:
        """The counts so far."""
        level1, level2 = self._levels.get("level1"), self._levels.get("level2")
        names = self._label_map.categories.level1_names
        unique, recall = self._deduplicated, self._by_class.recall
        picture, product = self._tally.by_picture, self._tally.by_product
        return Counts(
            num_products=product.count,
            num_pictures=picture.count,
            num_without_picture=self._without_picture,
            num_unlabelled=self._unlabelled,
            num_foreign=self._split.num_products - self._unlabelled - len(self.products),
            picture=_accuracies(picture),
            product=_accuracies(product),
            level1=level1.result() if level1 else None,
            level2=level2.result() if level2 else None,
            deduplicated=Deduplicated(unique.count, unique.accuracy, unique.top5_accuracy)
            if unique.count
            else None,
            reliability=self._confidences.result() if self.num_done else None,
            groups=self._groups.result(recall) if self._groups else None,
            known_pictures=self._known.result() if self._known else None,
            level1_names=names,
            level1_confusion=(
                level1.confusion if level1 else np.zeros([len(names)] * 2, np.int64)
            ).tolist(),
            examples=self._guesses.examples(),
        )

    def guesses(self) -> Guesses:
        """The first guesses so far."""
        return self._guesses.result()

    def categories(self) -> tuple[CategoryRow, ...]:
        """The counts so far by category, at all levels."""
        counts = {"class": self._by_class}
        counts |= {name: level.counts for name, level in self._levels.items()}
        return category_rows(
            self._label_map,
            counts,
            self._background.training_products,
            self._groups.group_of_class if self._groups else None,
        )


def _coarser_levels(label_map: LabelMap) -> Iterator[tuple[str, np.ndarray, list[str]]]:
    """(level, its label of each class, its names) of each level that the classes determine."""
    for level in LEVELS:
        label_of_class = level_of_class(label_map, level)
        if label_of_class is not None:
            yield level, label_of_class, getattr(label_map.categories, f"{level}_names")


class _Level:
    """Counts at one level of the hierarchy.

    Attributes:
      confusion: int64 [labels, labels], products by true and predicted label.
      counts: products by label.
    """

    def __init__(self, label_of_class: np.ndarray, classes: np.ndarray, num_labels: int):
        # A product without a class is never counted.
        self._labels = np.where(classes >= 0, label_of_class[classes], -1)
        self._sum = LevelSum(label_of_class, num_labels)
        self._tally = ProductTally(self._labels)
        self.confusion = np.zeros([num_labels, num_labels], np.int64)
        self.counts = ClassCounts(num_labels)

    def add(self, batch: ProductBatch) -> np.ndarray:
        """Adds a batch; returns whether each product's first guess is right: bool [n]."""
        predicted = self._tally.add(
            dataclasses.replace(
                batch,
                probabilities=self._sum(batch.probabilities),
                picture_probabilities=self._sum(batch.picture_probabilities),
            )
        )
        labels = self._labels[batch.ordinals]
        np.add.at(self.confusion, (labels, predicted), 1)
        self.counts.add(labels, predicted)
        return predicted == labels

    def result(self) -> LevelAccuracies:
        product, picture = self._tally.by_product, self._tally.by_picture
        return LevelAccuracies(
            product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
        )


class _Known:
    """Compares first guesses with the classes that known pictures name.

    Args:
      known: int32 [products of the split], or -1.
    """

    def __init__(self, known: np.ndarray):
        self._of_product = known
        self._count = self._known = self._known_right = self._changed = 0
        self._right_before = self._right = 0

    def add(self, ordinals: np.ndarray, classes: np.ndarray, predicted: np.ndarray) -> None:
        own = self._of_product[ordinals]
        final = np.where(own >= 0, own, predicted)
        self._count += len(own)
        self._known += int((own >= 0).sum())
        self._known_right += int((own == classes).sum())
        self._changed += int((final != predicted).sum())
        self._right_before += int((predicted == classes).sum())
        self._right += int((final == classes).sum())

    def result(self) -> KnownPictures:
        return KnownPictures(
            self._known,
            self._known_right,
            self._changed,
            self._right_before / self._count,
            self._right / self._count,
        )


def _accuracies(tally: Tally) -> Accuracies:
    return Accuracies(tally.accuracy, tally.top5_accuracy, tally.loss)
