"""Parts of an evaluation: what a probability means, frequent and rare classes, known pictures."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Products with similar confidence, the probability of their first guess.

    Attributes:
      count: number of products.
      confidence: their mean confidence, 0 to 1.
      accuracy: share of right first guesses, 0 to 1.
    """

    count: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Acceptance:
    """Which products to accept without a human's check.

    Attributes:
      wanted: the accuracy that the accepted products should have, 0 to 1.
      threshold: accept a product if its confidence is at least this; None if no threshold reaches
        the accuracy.
      share: share of the products that are accepted.
      accuracy: share of right first guesses among them.
    """

    wanted: float
    threshold: float | None
    share: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How well the probabilities of first guesses agree with how often they are right.

    Attributes:
      ece: expected calibration error: the mean over the products of their bin's
        |accuracy - confidence|.
      ece_before: the same without temperature; None if there is none.
      bins: bins of equally many products (to within one), lowest confidence first.
      acceptance: for each wanted accuracy.
    """

    ece: float
    ece_before: float | None
    bins: tuple[ReliabilityBin, ...]
    acceptance: tuple[Acceptance, ...]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Reliability:
        return cls(
            content["ece"],
            content["ece_before"],
            tuple(ReliabilityBin(**row) for row in content["bins"]),
            tuple(Acceptance(**row) for row in content["acceptance"]),
        )


@dataclasses.dataclass(frozen=True)
class FrequencyGroup:
    """The products of frequent, middling or rare classes.

    Classes are ranked by their number of training products. The head is the first classes, which
    hold a third of the training products; the middle holds the second third, the tail the last.

    Attributes:
      name: `head`, `middle` or `tail`.
      num_classes: its classes; those without a training product are in the tail.
      num_products: evaluated products of these classes.
      accuracy: by product; None without products, as the following.
      mean_recall: mean over the classes with products of the share that is recognised.
      level1, level2: accuracy at these levels; None as well if the classes are coarser.
    """

    name: str
    num_classes: int
    num_products: int
    accuracy: float | None
    mean_recall: float | None
    level1: float | None
    level2: float | None


@dataclasses.dataclass(frozen=True)
class KnownPictures:
    """What `--known_pictures` changes: products that show a training picture take its category.

    Attributes:
      num_known: products that take a category from the training split.
      num_known_right: those for which it is the right one.
      num_changed: those whose first guess was another.
      accuracy_before, accuracy: by product, without and with known pictures.
    """

    num_known: int
    num_known_right: int
    num_changed: int
    accuracy_before: float
    accuracy: float
