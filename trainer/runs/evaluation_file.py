"""`evaluation/SPLIT.json`: the results of `trainer.evaluate` for a run on a split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
from typing import Any

from cdisc_tfds.whole_files import write_json
from trainer.runs.category_file import CategoryRow, path_beside, read_categories, write_categories
from trainer.runs.evaluation_parts import FrequencyGroup, KnownPictures, Reliability
from trainer.runs.guess_file import Guesses
from trainer.runs.prediction_method import Method

# Format 1 (versions up to 0.1) had no number and wrote `top5`; format 2 (0.2) had fewer fields;
# format 3 had no file of first guesses.
FORMAT = 4
_PARTS = ("reliability", "groups", "known_pictures")
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
      reliability: what the probabilities of the first guesses mean.
      groups: accuracies for frequent, middling and rare classes.
      known_pictures: what known pictures would change; the other figures are without them.
      level1_names, level1_confusion: names, and counts of products [true][predicted].
      examples: wrong predictions with the highest probability, highest first, then random products.

    Files of formats 1 and 2 have neither `reliability` nor `groups`.
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
    reliability: Reliability | None = None
    groups: tuple[FrequencyGroup, ...] | None = None
    known_pictures: KnownPictures | None = None


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The contents of an evaluation file, and of the two files beside it.

    Attributes:
      method: the products, weights and method.
      counts: the counts and accuracies.
      categories: the results by category; empty in formats 1 and 2, or if the CSV file is gone.
      guesses: the first guess for each product; None in formats 1 to 3, or if the file is gone.
    """

    method: Method
    counts: Counts
    categories: tuple[CategoryRow, ...] = ()
    guesses: Guesses | None = None

    @property
    def class_rows(self) -> tuple[CategoryRow, ...]:
        """The rows of `categories` that are classes of the run, in their order."""
        return tuple(row for row in self.categories if row.level == self.categories[0].level)

    def write(self, path: pathlib.Path) -> None:
        """Writes the files, each whole or not at all, that which names the others last."""
        content: dict[str, Any] = {"format": FORMAT}
        if self.categories:
            content["categories_sha256"] = write_categories(path_beside(path), self.categories)
        if self.guesses is not None:
            content["guesses_sha256"] = self.guesses.write(path)
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
            sha256 = content.get("categories_sha256")
            categories = read_categories(path_beside(path), sha256) if sha256 else ()
            sha256 = content.get("guesses_sha256")
            guesses = Guesses.read(path, sha256) if sha256 else None
            return cls(Method.from_json(content), _counts(_renamed(content)), categories, guesses)
        except EvaluationFileError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EvaluationFileError(
                f"{path} cannot be read as an evaluation ({type(error).__name__}: {error}). Delete "
                "it, or evaluate the run again: `python -m trainer.evaluate`."
            ) from error


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
    reliability, groups, known = (values[name] for name in _PARTS)
    values["reliability"] = Reliability.from_json(reliability) if reliability else None
    values["groups"] = tuple(FrequencyGroup(**row) for row in groups) if groups else None
    values["known_pictures"] = KnownPictures(**known) if known else None
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
