"""Section of the page: sizes of the pictures in bytes and pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.explore.count_sections import percent
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.explore.size_chart import size_chart
from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import table

_FREQUENT = 12  # sizes in pixels to list
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_HEADINGS = ("smallest", "5%", "median", "95%", "largest")


def sizes(splits: Sequence[ScannedSplit], figures: Figures) -> Markup:
    """Bytes and pixels of the pictures."""
    measured = [split for split in splits if len(split.measured)]
    if not measured:
        return Markup("<p>There are no pictures.</p>")
    sample = ", ".join(
        f"{len(split.measured):,} of {split.index.total_pictures:,} of {split.name}"
        for split in measured
    )
    bytes_of = [(split.name, split.measured[:, 0]) for split in measured]
    return Markup(
        '<p class="note">Measured: {}. Means of bytes are of every picture in the shards that were '
        "read.</p>\n<h3>Bytes</h3>\n{}\n{}\n<h3>Pixels</h3>\n{}"
    ).format(
        sample,
        _quantiles(measured),
        figures.add("bytes", size_chart(bytes_of, "bytes a picture"), "sizes in bytes"),
        _pixels(measured, figures),
    )


def _quantiles(splits: Sequence[ScannedSplit]) -> Markup:
    columns = [
        ("split", ""),
        ("mean", "number"),
        *((heading, "number") for heading in _HEADINGS),
        ("together", "number"),
    ]
    rows = [
        (
            split.name,
            f"{split.picture_bytes / max(1, split.num_read):,.0f}",
            *(f"{value:,.0f}" for value in np.quantile(split.measured[:, 0], _QUANTILES)),
            _described(split.picture_bytes) + ("" if split.is_whole else " in the shards read"),
        )
        for split in splits
    ]
    return table(columns, rows)


def _described(num_bytes: int) -> str:
    value, units = float(num_bytes), ["bytes", "KB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}" if units[0] != "bytes" else f"{num_bytes} bytes"


def _pixels(splits: Sequence[ScannedSplit], figures: Figures) -> Markup:
    """The frequent sizes, and a chart if there are several."""
    pixels = [split.measured[:, 1:] for split in splits]
    distinct, number = np.unique(np.concatenate(pixels), axis=0, return_counts=True)
    frequent = distinct[np.argsort(-number, kind="stable")][:_FREQUENT]
    columns = [("width x height", ""), *((split.name, "number") for split in splits)]
    rows = [
        (
            f"{width} x {height}" if width else "damaged header",
            *(
                percent(int(np.all(found == (width, height), axis=1).sum()), len(found))
                for found in pixels
            ),
        )
        for width, height in frequent.tolist()
    ]
    text = f"{len(distinct):,} different sizes; the most frequent:"
    if len(distinct) == 1:
        return Markup("<p>All have one size.</p>\n{}").format(table(columns, rows))
    sides = [
        (split.name, found.max(axis=1)[found.max(axis=1) > 0])
        for split, found in zip(splits, pixels)
    ]
    sides = [(name, found) for name, found in sides if len(found)]
    chart = size_chart(sides, "pixels of the longer side") if sides else None
    figure = figures.add("pixels", chart, "sizes in pixels") if chart else Markup("")
    return Markup("<p>{}</p>\n{}\n{}").format(text, table(columns, rows), figure)
