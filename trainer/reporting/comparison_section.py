"""The report's section that compares evaluations of the same products, pair by pair."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.pages.table import table, with_note
from trainer.reporting.accuracy_cells import with_error
from trainer.reporting.reported_evaluations import STALE, ReportedEvaluation
from trainer.runs.guess_file import Guesses

_CHANCE = 2  # standard errors: what is below may be chance


def paired_difference(right: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The difference of two accuracies on the same products, and its standard error.

    Args:
      right, other: bool [n], whether each one's first guess is right.

    Returns:
      (accuracy of `right` minus that of `other`, standard error of the mean of the difference by
      product, which is 1, 0 or -1).
    """
    difference = right.astype(np.int8) - other.astype(np.int8)
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))


def comparison(evaluations: Sequence[ReportedEvaluation]) -> Markup:
    """Each evaluation against the best one on the same products; empty if there are no two."""
    groups: dict[tuple[str, str], list[tuple[ReportedEvaluation, Guesses]]] = {}
    for one in evaluations:
        if (guesses := one.result.guesses) is not None and len(guesses):
            key = (one.run.label_map.digest, _products_digest(guesses))
            groups.setdefault(key, []).append((one, guesses))
    parts = [_table(group) for group in groups.values() if len(group) > 1]
    if not parts:
        return Markup("")
    note = (
        "Differences are paired: both runs saw the same products, so products that are easy or "
        "hard for both do not count as chance. ± is the standard error of the difference, from the "
        "number of products alone; a difference below two of them may be chance, and another seed "
        "of training adds to that. The best of many runs flatters: part of its lead is luck on "
        "these products."
    )
    return Markup("\n").join([*parts, Markup('<p class="note">{}</p>').format(note)])


def _products_digest(guesses: Guesses) -> str:
    """Equal for the same products with the same true classes."""
    digest = hashlib.sha256(np.ascontiguousarray(guesses.product_id).data)
    digest.update(np.ascontiguousarray(guesses.true).data)
    return digest.hexdigest()


def _table(group: Sequence[tuple[ReportedEvaluation, Guesses]]) -> Markup:
    best, best_guesses = max(group, key=lambda pair: (not pair[0].is_stale, pair[1].right.mean()))
    columns = [
        ("run", ""),
        ("accuracy by product", "number"),
        (f"difference from {best.name}", "number"),
        ("only this run right", "number"),
        (f"only {best.name} right", "number"),
    ]
    ranked = sorted(group, key=lambda pair: -pair[1].right.mean())
    rows = [
        (
            with_note(one.key, STALE if one.is_stale else ""),
            with_error(float(guesses.right.mean()), len(guesses)),
            *((None,) * 3 if one is best else _against(guesses.right, best_guesses.right)),
        )
        for one, guesses in ranked
    ]
    splits = ", ".join(dict.fromkeys(one.split for one, _ in group))
    title = Markup("<h3>{} ({} products)</h3>").format(splits, f"{len(best_guesses):,}")
    return Markup("\n").join([title, table(columns, rows)])


def _against(right: np.ndarray, best: np.ndarray) -> Sequence[object]:
    """The cells that compare a run with the best one."""
    difference, error = paired_difference(right, best)
    note = f"± {error:.4f}" if error else ""
    if abs(difference) < _CHANCE * error:
        note += ", may be chance"
    return (
        with_note(f"{difference:+.4f}", note),
        f"{int((right & ~best).sum()):,}",
        f"{int((best & ~right).sum()):,}",
    )
