"""`evaluation/SPLIT.json`: the results of `trainer.evaluate` for a run on a split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
from typing import Any

from cdisc_tfds.whole_files import write_json

FORMAT = 2  # format 1 (versions up to 0.1) had no number and wrote `top5`
_LONGEST_NAME = 120  # bytes of a file name without its extension; file systems allow 255


class EvaluationFileError(ValueError):
    """An evaluation file that cannot be read."""


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Shares, 0 to 1, of right first guesses and of labels in the top five; loss in nats."""

    accuracy: float
    top5_accuracy: float
    loss: float


@dataclasses.dataclass(frozen=True)
class LevelAccuracies:
    """Accuracies at a level of the hierarchy, by product and by picture."""

    accuracy: float
    top5_accuracy: float
    picture_accuracy: float
    picture_top5_accuracy: float


@dataclasses.dataclass(frozen=True)
class Deduplicated:
    """Accuracies over the products that share no picture with the training split."""

    num_products: int
    accuracy: float
    top5_accuracy: float


@dataclasses.dataclass(frozen=True)
class Example:
    """A product and its first guess.

    Attributes:
      product_id: its `_id`.
      category, predicted: true and predicted class of the run (index in `LabelMap.class_names`).
      probability: probability of the predicted class.
      correct: whether both classes are equal.
    """

    product_id: int
    category: int
    predicted: int
    probability: float
    correct: bool


@dataclasses.dataclass(frozen=True)
class Method:
    """The products, weights and method of an evaluation.

    Attributes:
      split: the products, in TFDS's notation.
      checkpoint: `best` or `last`.
      flip: whether each picture was averaged with its mirror image.
      mean: how the pictures of each product were averaged.
      decoder: the JPEG decoder, `tf` or `dali`.
      epoch: epoch of the weights, counted from 0; None for a two-stage run or if unknown.
      weights_sha256: as in `RunWeights`; None in files by versions up to 0.1.
      data_digest: digest of the split's index; None in files of versions up to 0.1.
    """

    split: str
    checkpoint: str
    flip: bool
    mean: str
    decoder: str = "tf"
    epoch: int | None = None
    weights_sha256: str | None = None
    data_digest: str | None = None


@dataclasses.dataclass(frozen=True)
class Counts:
    """The counts and accuracies over a split.

    Attributes:
      num_products, num_pictures: products counted, and their readable pictures.
      num_without_picture: those of the products that have no readable picture and got the training
        prior.
      num_unlabelled, num_foreign: products left out for having no label, or no class of this run.
      picture, product: accuracies by picture, and by product (probabilities averaged over its
        pictures).
      level1, level2: accuracies of the classes' probabilities summed per level; None if the run's
        classes are coarser.
      deduplicated: accuracies over the products with no picture, byte for byte, in the run's
        training split; None if there are no such products, or if not requested.
      level1_names, level1_confusion: names, and counts of products [true][predicted].
      examples: wrong predictions with the highest probability, highest first, then random products.
    """

    num_products: int
    num_pictures: int
    num_without_picture: int
    num_unlabelled: int
    num_foreign: int
    picture: Accuracies
    product: Accuracies
    level1: LevelAccuracies | None
    level2: LevelAccuracies | None
    deduplicated: Deduplicated | None
    level1_names: list[str]
    level1_confusion: list[list[int]]
    examples: list[Example]


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The contents of an evaluation file."""

    method: Method
    counts: Counts

    def write(self, path: pathlib.Path) -> None:
        """Writes the file atomically."""
        content = {"format": FORMAT}
        content |= dataclasses.asdict(self.method) | dataclasses.asdict(self.counts)
        write_json(path, content)

    @classmethod
    def read(cls, path: pathlib.Path) -> EvaluationResult:
        """Reads a file of this version or of an earlier one.

        Raises:
          EvaluationFileError: if it is damaged, or a newer version wrote it.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            number = content.get("format", 1)
            if number > FORMAT:
                raise EvaluationFileError(
                    f"This version reads evaluations up to format {FORMAT}. {path} has format "
                    f"{number}: a newer version of the project wrote it. Use that version, or "
                    "evaluate the run again."
                )
            return cls(_method(content), _counts(_renamed(content)))
        except EvaluationFileError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EvaluationFileError(
                f"{path} cannot be read as an evaluation ({type(error).__name__}: {error}). Delete "
                "it, or evaluate the run again: `python -m trainer.evaluate`."
            ) from error


def _method(content: dict[str, Any]) -> Method:
    names = [field.name for field in dataclasses.fields(Method)]
    return Method(**{name: content[name] for name in names if name in content})


def _counts(content: dict[str, Any]) -> Counts:
    values: dict[str, Any] = {
        field.name: content.get(field.name) for field in dataclasses.fields(Counts)
    }
    for name in ("num_without_picture", "num_unlabelled", "num_foreign"):
        values[name] = values[name] or 0
    for name in ("picture", "product"):
        values[name] = Accuracies(**content[name])
    for name in ("level1", "level2"):
        values[name] = LevelAccuracies(**content[name]) if content[name] else None
    unique = content["deduplicated"]
    values["deduplicated"] = Deduplicated(**unique) if unique else None
    values["examples"] = [Example(**row) for row in content["examples"]]
    return Counts(**values)


def _renamed(content: dict[str, Any]) -> dict[str, Any]:
    """Renames the fields of format 1 to those of format 2."""
    names = {"top5": "top5_accuracy", "picture_top5": "picture_top5_accuracy"}
    return {
        key: {names.get(name, name): item for name, item in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in content.items()
    }


def file_name(split: str) -> str:
    """Name of the file for a split, e.g. `train[80%:].json`; long ones are cut and get a digest."""
    name = split.replace("/", "-")
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(split.encode()).hexdigest()[:16]
        name = f"{re.sub(r'[^A-Za-z0-9]+', '-', split)[: _LONGEST_NAME - 17]}-{digest}"
    return f"{name}.json"
