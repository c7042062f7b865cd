"""Measures a finished run on a split: every labelled product once, exactly.

    python -m trainer.evaluate --run_dir=runs/cnn-adam --split='train[80%:]'

Prints a table and writes RUN/evaluation/SPLIT.json:

    split, checkpoint, flip, mean   what was measured, and how
    decoder                         who decoded the pictures, tf or dali
    num_products, num_pictures      products counted, and their readable pictures
    num_without_picture             of these products, those that got the training prior
    num_unlabelled, num_foreign     products left out: no label, or no class of this run
    picture, product                {accuracy, top5, loss}: by picture; by product (probabilities
                                    averaged over its pictures); loss in nats
    level1, level2                  {accuracy, top5} by product and {picture_accuracy, picture_top5}
                                    of the classes' probabilities added up to the level; null where
                                    the run's classes are coarser
    deduplicated                    {num_products, accuracy, top5} of the products none of whose
                                    pictures is, byte for byte, in the run's training split; null if
                                    there is none, or if it was not asked for
    level1_names, level1_confusion  names, and counts of products [true][predicted]
    examples                        [{product_id, category, predicted, probability, correct}]: the
                                    wrong products with the highest probability, highest first, then
                                    random products. `category` (true) and `predicted` are classes
                                    of the run, places in `RunFolder.label_map.class_names`
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.duplicates import unseen_products
from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.loading import load_predictor
from trainer.prediction.predictor import Predictor, predict_products
from trainer.prediction.priors import training_split
from trainer.prediction.scores import LevelSum, Tally, level_of_class
from trainer.runs.folder import RunFolder, write_json
from trainer.terminal.progress import ProgressLine

LEVELS = ("level1", "level2")
NUM_EXAMPLES = 60  # of each kind


class EvaluationError(ValueError):
    """A split that a run cannot be evaluated on."""


class Evaluation:
    """Counts over the products of a split, batch after batch.

    Args:
      label_map: the run's classes.
      split: the products.
      unseen: bool [products of the split], those that share no picture with training; None if
        that is not known.
    """

    def __init__(self, label_map: LabelMap, split: Split, unseen: np.ndarray | None = None):
        self._split, self._unseen = split, unseen
        self._classes = label_map.classes_of(split.index.category)
        self.products = np.flatnonzero(self._classes >= 0)
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

    def result(self) -> dict[str, Any]:
        """The file's values from `num_products` on; see the module's docstring."""
        level1, level2 = self._levels
        return {
            "num_products": self._product.count,
            "num_pictures": self._picture.count,
            "num_without_picture": self._without_picture,
            "num_unlabelled": self._unlabelled,
            "num_foreign": self._split.num_products - self._unlabelled - len(self.products),
            "picture": _accuracies(self._picture) | {"loss": self._picture.loss},
            "product": _accuracies(self._product) | {"loss": self._product.loss},
            "level1": level1.result(),
            "level2": level2.result(),
            "deduplicated": self._deduplicated.count
            and {"num_products": self._deduplicated.count} | _accuracies(self._deduplicated)
            or None,
            "level1_names": self._level1_names,
            "level1_confusion": level1.confusion.tolist(),
            "examples": self._wrong.rows(self._split) + self._random.rows(self._split),
        }


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

    def result(self) -> dict[str, float] | None:
        if self._label_of_class is None:
            return None
        by_picture = _accuracies(self._by_picture)
        return _accuracies(self._by_product) | {
            f"picture_{name}": value for name, value in by_picture.items()
        }


class _Examples:
    """The guesses with the highest probability so far, at most NUM_EXAMPLES."""

    def __init__(self):
        self._best: np.ndarray | None = None

    def add(self, guesses: np.ndarray) -> None:
        best = guesses if self._best is None else np.concatenate([self._best, guesses])
        order = np.lexsort([best["ordinal"], -best["probability"]])
        self._best = best[order[:NUM_EXAMPLES]]

    def rows(self, split: Split) -> list[dict[str, Any]]:
        return [
            {
                "product_id": int(split.index.product_id[guess["ordinal"]]),
                "category": int(guess["category"]),
                "predicted": int(guess["predicted"]),
                "probability": float(guess["probability"]),
                "correct": bool(guess["category"] == guess["predicted"]),
            }
            for guess in ([] if self._best is None else self._best)
        ]


def _accuracies(tally: Tally) -> dict[str, float]:
    return {"accuracy": tally.accuracy, "top5": tally.top5_accuracy}


def evaluate(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    unseen: np.ndarray | None = None,
    decoder: str = "auto",
) -> dict[str, Any]:
    """Predicts the labelled products of a split and counts; see the module's docstring.

    Raises:
      EvaluationError: if no product of the split has a label that the run knows.
    """
    evaluation = Evaluation(predictor.label_map, split, unseen)
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
    run_dir: str,
    split: str | None = None,
    *,
    data_dir: str | None = None,
    batch_size: int | None = None,
    checkpoint: str = "best",
    flip: bool = False,
    mean: str = "arithmetic",
    decoder: str = "auto",
    deduplicate: bool = True,
) -> dict[str, Any]:
    """Evaluates a run's folder, writes the JSON into it, and returns its values.

    Args:
      run_dir: the run's folder.
      split: TFDS sub-split; default: the run's validation split.
      data_dir: where the data set is; default: where the run found it.
      batch_size: pictures a step; default: the run's `eval_batch_size`.
      checkpoint: `best` or `last`.
      flip: average each picture with its mirror image.
      mean: how a product's pictures are averaged.
      decoder: who decodes JPEGs, one of `trainer.data.decoding.DECODERS`.
      deduplicate: also read the training split's picture hashes.
    """
    run = RunFolder(run_dir)
    config = run.config
    data = open_dataset(data_dir or config.data_dir)
    split = split or config.validation_split
    products = data.split(split)
    Evaluation(run.label_map, products)  # refuses an unlabelled split before the network is loaded
    decoder = resolve_decoder(decoder)  # before the network takes the GPU's memory
    predictor = load_predictor(run, data, checkpoint=checkpoint, flip=flip, mean=mean)
    training = training_split(data, config) if deduplicate else None
    unseen = None if training is None else unseen_products(products, training)
    how = {"checkpoint": checkpoint, "flip": flip, "mean": mean, "decoder": decoder}
    result = (
        {"split": split}
        | how
        | evaluate(
            predictor,
            products,
            batch_size=batch_size or config.eval_batch_size,
            unseen=unseen,
            decoder=decoder,
        )
    )
    run.evaluation.mkdir(exist_ok=True)
    write_json(output_path(run, split), result)
    return result


def output_path(run: RunFolder, split: str) -> pathlib.Path:
    """Where the evaluation of a split is kept, e.g. RUN/evaluation/train[80%:].json."""
    return run.evaluation / f"{split}.json"


def table(result: dict[str, Any]) -> str:
    """What a terminal shows of a result."""
    lines = [
        f"{result['num_products']:,} products, {result['num_pictures']:,} pictures of "
        f"{result['split']}, {result['checkpoint']} checkpoint"
        + (", with mirror images" if result["flip"] else "")
        + (", decoded by DALI" if result["decoder"] == "dali" else ""),
        "",
        f"{'':<14}{'by product':^20}{'by picture':^20}",
        f"{'':<14}" + f"{'accuracy':>10}{'top 5':>10}" * 2,
    ]
    rows = [("classes", result["product"] | _picture_columns(result["picture"]))]
    rows += [(f"level {level[-1]}", result[level]) for level in reversed(LEVELS)]
    for name, row in rows:
        if row is not None:
            columns = ("accuracy", "top5", "picture_accuracy", "picture_top5")
            lines.append(f"{name:<14}" + "".join(f"{row[column]:>10.4f}" for column in columns))
    if unique := result["deduplicated"]:
        lines.append(f"{'not in train':<14}{unique['accuracy']:>10.4f}{unique['top5']:>10.4f}")
        lines += [
            "",
            f"not in train: the {unique['num_products']:,} products none of whose pictures is in "
            "the training split",
        ]
    for count, reason in (
        ("num_unlabelled", "without a label"),
        ("num_foreign", "of categories that this run does not know"),
    ):
        if result[count]:
            lines.append(f"left out: {result[count]:,} products {reason}")
    return "\n".join(lines)


def _picture_columns(picture: dict[str, float]) -> dict[str, float]:
    return {f"picture_{name}": picture[name] for name in ("accuracy", "top5")}
