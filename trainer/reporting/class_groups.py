"""The head, middle and tail of the classes: their sizes, and an evaluation's figures on each."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.runs.evaluation_file import EvaluationResult
from trainer.runs.evaluation_parts import FrequencyGroup


@dataclasses.dataclass(frozen=True)
class ClassGroup:
    """A frequency group of an evaluation.

    Attributes:
      group: what the evaluation says of it.
      training_products: of its classes together; None if unknown, as the next.
      smallest, largest: training products of its smallest and of its largest class.
      confidence: mean probability of the first guess over its products; None without products, or
        if the first guesses are unknown.
    """

    group: FrequencyGroup
    training_products: int | None
    smallest: int | None
    largest: int | None
    confidence: float | None


def class_groups(result: EvaluationResult) -> list[ClassGroup]:
    """The groups, head first; empty if the evaluation has none."""
    rows, guesses = result.class_rows, result.guesses
    of_class = np.array([row.group or "" for row in rows])
    found = []
    for group in result.counts.groups or ():
        sizes = [row.training_products or 0 for row in rows if row.group == group.name]
        confidence = None
        if guesses is not None and len(rows):
            own = guesses.probability[of_class[guesses.true] == group.name]
            confidence = float(own.mean(dtype=np.float64)) if len(own) else None
        found.append(
            ClassGroup(
                group,
                sum(sizes) if sizes else None,
                min(sizes, default=None),
                max(sizes, default=None),
                confidence,
            )
        )
    return found
