"""Measures a finished run on a split: every labelled product once, exactly.

    python -m trainer.evaluate --run_dir=runs/cnn-adam --split='train[80%:]'

`trainer.runs.evaluation_file` says what the result holds.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.duplicates import unseen_products
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.loading import load_predictor
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import Predictor, predict_products
from trainer.prediction.priors import training_split
from trainer.prediction.scores import LevelSum, Tally, level_of_class
from trainer.runs.evaluation_file import (
    Accuracies,
    Counts,
    Deduplicated,
    EvaluationResult,
    Example,
    LevelAccuracies,
    Method,
    file_name,
)
from trainer.runs.folder import RunFolder
from trainer.terminal.progress import ProgressLine

LEVELS = ("level1", "level2")
NUM_EXAMPLES = 60  # of each kind


class EvaluationError(ValueError):
    """A split that a run cannot be evaluated on."""


class Evaluation:
    """Counts over the products of a split, batch after batch.

    Args:
      labelled: the products and their classes.
      unseen: bool [products of the split], those that share no picture with training; None if
        that is not known.
    """

    def __init__(self, labelled: LabelledSplit, unseen: np.ndarray | None = None):
        split, label_map = labelled.split, labelled.label_map
        self._split, self._unseen = split, unseen
        self._classes = labelled.classes
        self.products = labelled.products
        self._unlabelled = int((split.index.category < 0).sum())
        self._check_labelled()
        self._picture, self._product, self._deduplicated = Tally(), Tally(), Tally()
        self._levels = [_Level(label_map, level) for level in LEVELS]
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
        return self._product.count

    def add(self, batch: ProductBatch) -> None:
        """Counts a batch in."""
        classes = self._classes[batch.ordinals]
        predicted = self._product.add(batch.probabilities, classes)
        picture_classes = self._classes[batch.picture_ordinals]
        self._picture.add(batch.picture_probabilities, picture_classes)
        for level in self._levels:
            level.add(batch, classes, picture_classes)
        if self._unseen is not None:
            rows = self._unseen[batch.ordinals]
            self._deduplicated.add(batch.probabilities[rows], classes[rows])
        self._without_picture += int((batch.num_pictures == 0).sum())
        sureness = batch.probabilities[np.arange(len(predicted)), predicted]
        guesses = np.rec.fromarrays(
            [batch.ordinals, classes, predicted, sureness],
            names="ordinal,category,predicted,probability",
        )
        self._wrong.add(guesses[predicted != classes])
        self._random.add(guesses[self._drawn[batch.ordinals]])

    def result(self) -> Counts:
        """What was counted so far."""
        level1, level2 = self._levels
        unique = self._deduplicated
        return Counts(
            num_products=self._product.count,
            num_pictures=self._picture.count,
            num_without_picture=self._without_picture,
            num_unlabelled=self._unlabelled,
            num_foreign=self._split.num_products - self._unlabelled - len(self.products),
            picture=_accuracies(self._picture),
            product=_accuracies(self._product),
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
    """Counts at one level of the hierarchy; none if the run's classes are coarser."""

    def __init__(self, label_map: LabelMap, level: str):
        self._label_of_class = level_of_class(label_map, level)
        self._by_product, self._by_picture = Tally(), Tally()
        num_labels = len(getattr(label_map.categories, f"{level}_names"))
        self.confusion = np.zeros([num_labels, num_labels], np.int64)
        if self._label_of_class is not None:
            self._sum = LevelSum(self._label_of_class, num_labels)

    def add(self, batch: ProductBatch, classes: np.ndarray, picture_classes: np.ndarray) -> None:
        if self._label_of_class is None:
            return
        labels = self._label_of_class[classes]
        predicted = self._by_product.add(self._sum(batch.probabilities), labels)
        np.add.at(self.confusion, (labels, predicted), 1)
        self._by_picture.add(
            self._sum(batch.picture_probabilities), self._label_of_class[picture_classes]
        )

    def result(self) -> LevelAccuracies | None:
        if self._label_of_class is None:
            return None
        product, picture = self._by_product, self._by_picture
        return LevelAccuracies(
            product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
        )


class _Examples:
    """The guesses with the highest probability so far, at most NUM_EXAMPLES."""

    def __init__(self):
        self._best: np.ndarray | None = None

    def add(self, guesses: np.ndarray) -> None:
        best = guesses if self._best is None else np.concatenate([self._best, guesses])
        order = np.lexsort([best["ordinal"], -best["probability"]])
        self._best = best[order[:NUM_EXAMPLES]]

    def rows(self, split: Split) -> list[Example]:
        return [
            Example(
                product_id=int(split.index.product_id[guess["ordinal"]]),
                category=int(guess["category"]),
                predicted=int(guess["predicted"]),
                probability=float(guess["probability"]),
                correct=bool(guess["category"] == guess["predicted"]),
            )
            for guess in ([] if self._best is None else self._best)
        ]


def _accuracies(tally: Tally) -> Accuracies:
    return Accuracies(tally.accuracy, tally.top5_accuracy, tally.loss)


def evaluate(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    unseen: np.ndarray | None = None,
    decoder: str = "tf",
) -> Counts:
    """Predicts the labelled products of a split and counts.

    Raises:
      EvaluationError: if no product of the split has a label that the run knows.
    """
    evaluation = Evaluation(LabelledSplit(split, predictor.label_map), unseen)
    line = ProgressLine(f"evaluating {split.spec}", len(evaluation.products), "products")
    for batch in predict_products(
        predictor,
        split,
        batch_size=batch_size,
        products=evaluation.products,
        decoder=decoder,
    ):
        evaluation.add(batch)
        line.update(evaluation.num_done)
    line.close()
    return evaluation.result()


def evaluate_run(
    run_dir: str | os.PathLike[str],
    split: str | None = None,
    options: PredictionOptions | None = None,
    deduplicate: bool = True,
) -> EvaluationResult:
    """Evaluates a run's folder. `write_result` keeps the result in it.

    Args:
      run_dir: the run's folder.
      split: TFDS sub-split; default: the run's validation split.
      options: how to predict; default: each option's own.
      deduplicate: also read the training split's picture hashes.

    Raises:
      EvaluationError: if the split has no labels, or the result could not be written afterwards.
    """
    run, options = RunFolder(run_dir), options or PredictionOptions()
    config = run.config
    data = open_dataset(options.data_dir or config.data_dir)
    spec = split or config.validation_split
    products = data.split(spec)
    # Refuse whatever can be refused before the long work.
    Evaluation(LabelledSplit(products, run.label_map))
    _require_writable(output_path(run, spec))
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    predictor = load_predictor(
        run, data, checkpoint=options.checkpoint, flip=options.flip, mean=options.mean
    )
    training = training_split(data, config) if deduplicate else None
    counts = evaluate(
        predictor,
        products,
        batch_size=options.batch_size or config.eval_batch_size,
        unseen=None if training is None else unseen_products(products, training),
        decoder=decoder,
    )
    return EvaluationResult(_method(run, products, options, decoder), counts)


def _method(run: RunFolder, products: Split, options: PredictionOptions, decoder: str) -> Method:
    """What was evaluated, and how."""
    weights = None if run.is_two_stage else run.state.weights(options.checkpoint)
    return Method(
        split=products.spec,
        checkpoint=options.checkpoint,
        flip=options.flip,
        mean=options.mean,
        decoder=decoder,
        epoch=weights.epoch if weights else None,
        weights_sha256=weights.sha256 if weights else None,
        data_digest=products.index.digest,
    )


def write_result(run_dir: str | os.PathLike[str], result: EvaluationResult) -> pathlib.Path:
    """Keeps a result in the run's folder, and returns the file."""
    path = output_path(RunFolder(run_dir), result.method.split)
    path.parent.mkdir(exist_ok=True)
    result.write(path)
    return path


def output_path(run: RunFolder, split: str) -> pathlib.Path:
    """Where the evaluation of a split is kept, e.g. RUN/evaluation/train[80%:].json."""
    return run.evaluation / file_name(split)


def _require_writable(path: pathlib.Path) -> None:
    folder = path.parent if path.parent.exists() else path.parent.parent
    if not os.access(folder, os.W_OK):
        raise EvaluationError(
            f"An evaluation is kept in the run's folder, which must be writable. Received: {folder}"
            ". Copy the run to a folder of your own, or change its permissions."
        )


def table(result: EvaluationResult) -> str:
    """What a terminal shows of a result."""
    method, counts = result.method, result.counts
    lines = [
        f"{counts.num_products:,} products, {counts.num_pictures:,} pictures of {method.split}, "
        f"{method.checkpoint} checkpoint"
        + (", with mirror images" if method.flip else "")
        + (", decoded by DALI" if method.decoder == "dali" else ""),
        "",
        f"{'':<14}{'by product':^20}{'by picture':^20}",
        f"{'':<14}" + f"{'accuracy':>10}{'top 5':>10}" * 2,
    ]
    product, picture = counts.product, counts.picture
    classes = LevelAccuracies(
        product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
    )
    rows = (("classes", classes), ("level 2", counts.level2), ("level 1", counts.level1))
    for name, row in rows:
        if row is not None:
            values = dataclasses.astuple(row)
            lines.append(f"{name:<14}" + "".join(f"{value:>10.4f}" for value in values))
    if unique := counts.deduplicated:
        lines.append(f"{'not in train':<14}{unique.accuracy:>10.4f}{unique.top5_accuracy:>10.4f}")
        lines += [
            "",
            f"not in train: the {unique.num_products:,} products none of whose pictures is in the "
            "training split",
        ]
    for count, reason in (
        (counts.num_unlabelled, "without a label"),
        (counts.num_foreign, "of categories that this run does not know"),
    ):
        if count:
            lines.append(f"left out: {count:,} products {reason}")
    return "\n".join(lines)
