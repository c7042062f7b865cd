"""Which products of an evaluation to show as examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.runs.evaluation_file import Example
from trainer.runs.guess_file import Guesses


def chosen_examples(rows: Sequence[Example], number: int) -> list[Example]:
    """The `number` most confident wrong predictions, then up to a third as many right ones."""
    distinct = {row.product_id: row for row in rows}.values()
    by_confidence = sorted(distinct, key=lambda row: -row.probability)
    wrong = [row for row in by_confidence if not row.correct]
    right = [row for row in by_confidence if row.correct]
    return wrong[:number] + right[: number // 3]


def examples_by_class(guesses: Guesses, number: int, limit: int) -> dict[int, list[int]]:
    """Some products of each class: the surest wrong predictions, then the surest right ones.

    Args:
      guesses: the first guesses of an evaluation.
      number: wrong predictions of a class; of right ones, half as many, rounded up.
      limit: products in all.

    Returns:
      class -> rows of `guesses`. The class with the most wrong predictions comes first; when the
      limit is reached, the remaining classes are left out.
    """
    right = guesses.right
    # By class, wrong ones first, the surest of each first.
    order = np.lexsort([guesses.product_id, -guesses.probability, right, guesses.true])
    classes, starts, sizes = np.unique(guesses.true[order], return_index=True, return_counts=True)
    wrong = np.bincount(guesses.true[~right], minlength=int(classes.max(initial=-1)) + 1)
    chosen: dict[int, list[int]] = {}
    left = limit
    for place in np.lexsort([classes, -wrong[classes]]) if number else ():
        label, start, middle = int(classes[place]), starts[place], wrong[classes[place]]
        own = order[start : start + sizes[place]]
        rows = [*own[:middle][:number], *own[middle:][: (number + 1) // 2]]
        if len(rows) > left:
            break
        chosen[label] = [int(row) for row in rows]
        left -= len(rows)
    return chosen
