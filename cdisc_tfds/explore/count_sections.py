"""Sections of the page: what the splits hold, pictures per product, products without pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.pages.table import table
from cdisc_tfds.records import UNLABELLED

_MOST = 8  # pictures per product with a row of their own
_NAMED = 60  # ids of products without pictures to name


def percent(part: float, whole: float) -> str:
    """`12.3%`; a dash without a whole."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def overview(splits: Sequence[ScannedSplit]) -> Markup:
    """A row for each split: exact counts from the index."""
    columns = [
        ("split", ""),
        ("products", "number"),
        ("pictures", "number"),
        ("a product", "number"),
        ("labelled products", "number"),
        ("categories", "number"),
        ("shards", "number"),
    ]
    rows = []
    for split in splits:
        labels = split.index.category[split.index.category != UNLABELLED]
        rows.append(
            (
                split.name,
                f"{len(split.index):,}",
                f"{split.index.total_pictures:,}",
                f"{split.index.total_pictures / max(1, len(split.index)):.2f}",
                f"{len(labels):,}",
                f"{len(np.unique(labels)):,}" if len(labels) else None,
                f"{len(split.shards):,}",
            )
        )
    return table(columns, rows)


def pictures_per_product(splits: Sequence[ScannedSplit]) -> Markup:
    """How many products have 0, 1, 2, ... pictures."""
    counts = [np.bincount(split.index.num_pictures, minlength=_MOST + 2) for split in splits]
    most = max((np.flatnonzero(count)[-1] for count in counts if count.any()), default=0)
    rows: list[list[object]] = [
        [f"{number}", *(_with_share(count[number], count) for count in counts)]
        for number in range(min(most, _MOST) + 1)
    ]
    if most > _MOST:
        more = [_with_share(count[_MOST + 1 :].sum(), count) for count in counts]
        rows.append([f"{_MOST + 1} to {most}", *more])
    columns = [("pictures", ""), *((f"products of {split.name}", "number") for split in splits)]
    return table(columns, rows)


def _with_share(number: int, counts: np.ndarray) -> str:
    return f"{number:,} ({percent(number, counts.sum())})"


def without_pictures(splits: Sequence[ScannedSplit]) -> Markup:
    """The products without pictures, by id."""
    parts = []
    for split in splits:
        ids = split.index.product_id[split.index.num_pictures == 0]
        if not len(ids):
            continue
        named = ", ".join(str(number) for number in np.sort(ids)[:_NAMED].tolist())
        more = f", and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
        parts.append(
            Markup("<p>{} of {} products of {}: {}{}.</p>").format(
                f"{len(ids):,}", f"{len(split.index):,}", split.name, named, more
            )
        )
    if not parts:
        return Markup("<p>Every product has a picture.</p>")
    note = "A network cannot see these: a submission takes the training categories' shares."
    return Markup('<p class="note">{}</p>{}').format(note, Markup("\n").join(parts))
