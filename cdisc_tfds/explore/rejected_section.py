"""Section of the page: what the build left out."""

from __future__ import annotations

from markupsafe import Markup

from cdisc_tfds.build.rejections import FILE
from cdisc_tfds.explore.rejected_items import RejectedItems
from cdisc_tfds.pages.table import table

_REASONS = 20


def rejected(items: RejectedItems) -> Markup:
    """Numbers by kind and reason, and the first items."""
    if not items.counts:
        return Markup("<p>Unknown: the data set was built by a version that did not count it.</p>")
    if not items.total:
        return Markup("<p>Nothing: the build used every product and picture.</p>")
    kinds = sorted({kind for numbers in items.counts.values() for kind in numbers})
    counts = table(
        [("split", ""), *((_PLURAL.get(kind, kind), "number") for kind in kinds)],
        [
            (split, *(f"{numbers.get(kind, 0):,}" for kind in kinds))
            for split, numbers in items.counts.items()
        ],
    )
    if not items.has_list:
        return Markup("{}<p>The list, {}, is not beside the shards.</p>").format(counts, FILE)
    ranked = sorted(items.reasons.items(), key=lambda entry: (-entry[1], entry[0]))
    reasons = table(
        [("number", "number"), ("split", ""), ("kind", ""), ("reason", "")],
        [(f"{number:,}", *key) for key, number in ranked[:_REASONS]],
    )
    first = table(
        [("split", ""), ("kind", ""), ("product", "number"), ("picture", "number"), ("reason", "")],
        items.first,
    )
    return Markup(
        "{}\n<h3>Reasons</h3>\n{}\n<h3>The first items</h3>\n{}\n"
        '<p class="note">{} beside the shards lists every item.</p>'
    ).format(counts, reasons, first, FILE)


_PLURAL = {"picture": "pictures", "product": "products", "bytes": "damaged places"}
