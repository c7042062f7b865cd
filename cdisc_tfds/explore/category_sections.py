"""Sections of the page: the tree of categories by size, and the long tail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.explore.category_counts import CategoryCounts
from cdisc_tfds.explore.count_sections import percent
from cdisc_tfds.explore.tail_chart import tail_chart
from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.table import table

_FEW = 10  # products: too few to learn a category from
_NAMED = 20  # categories without products to name


def tree(counts: CategoryCounts) -> Markup:
    """The three levels, the largest first at each; the lower ones unfold."""
    note = (
        "Labelled products of all splits, and their share; the largest first. A bar is relative to "
        "the largest neighbour. A level unfolds at a click."
    )
    everything = np.arange(len(counts.products))
    body = Markup("\n").join(
        _branch(counts.categories.level1_names[node], sizes, counts, _level2(counts, sizes[2]))
        for node, sizes in _nodes(counts, counts.categories.level1, everything)
    )
    return Markup('<p class="note">{}</p>\n{}').format(note, body)


def _level2(counts: CategoryCounts, labels: np.ndarray) -> list[Markup]:
    """What is below a node of level 1."""
    return [
        _branch(
            counts.categories.path_of(int(sizes[2][0]))[1],
            sizes,
            counts,
            _leaves(counts, sizes[2]),
        )
        for _, sizes in _nodes(counts, counts.categories.level2, labels)
    ]


def _leaves(counts: CategoryCounts, labels: np.ndarray) -> list[Markup]:
    """The categories, the largest first."""
    ranked = labels[np.argsort(-counts.products[labels], kind="stable")]
    largest = int(counts.products[ranked[0]])
    return [_leaf(int(label), largest, counts) for label in ranked]


# Of a node: its products, those of its largest neighbour, and the labels below it.
_Sizes = tuple[int, int, np.ndarray]


def _nodes(
    counts: CategoryCounts, level: np.ndarray, labels: np.ndarray
) -> list[tuple[int, _Sizes]]:
    """The nodes of a level that are above some labels, the largest first."""
    nodes = [(int(node), labels[level[labels] == node]) for node in np.unique(level[labels])]
    sizes = [(node, int(counts.products[inside].sum()), inside) for node, inside in nodes]
    sizes.sort(key=lambda entry: (-entry[1], entry[0]))
    largest = sizes[0][1]
    return [(node, (size, largest, inside)) for node, size, inside in sizes]


def _branch(name: str, sizes: _Sizes, counts: CategoryCounts, below: Sequence[Markup]) -> Markup:
    products, largest, labels = sizes
    text = f"{name} ({len(labels):,})"
    return Markup('<details><summary>{}</summary><div class="rows">{}</div></details>').format(
        _row(text, products, largest, counts), Markup("\n").join(below)
    )


def _leaf(label: int, largest: int, counts: CategoryCounts) -> Markup:
    name = counts.categories.level3_names[label]
    number = int(counts.categories.category_ids[label])
    return _row(f"{name} · {number}", int(counts.products[label]), largest, counts)


def _row(name: str, products: int, largest: int, counts: CategoryCounts) -> Markup:
    return Markup(
        '<span class="row"><span>{}</span><span class="track"><span class="bar" style="width: {}%">'
        '</span></span><span class="number">{} · {}</span></span>'
    ).format(
        name,
        f"{100 * products / max(1, largest):.1f}",
        f"{products:,}",
        percent(products, counts.products.sum()),
    )


def long_tail(counts: CategoryCounts, figures: Figures) -> Markup:
    """How unevenly the products are spread over the categories."""
    products = counts.products
    used = products[products > 0]
    if not len(used):
        return Markup("<p>No product has a category.</p>")
    rows = [
        (
            name,
            f"{len(labels):,}",
            f"{products[labels].sum():,} ({percent(products[labels].sum(), products.sum())})",
            f"{products[labels].min():,} to {products[labels].max():,}" if len(labels) else None,
        )
        for name, labels in counts.groups()
    ]
    columns = [("", ""), ("categories", "number"), ("products", "number"), ("a category", "number")]
    sentence = (
        f"Half of the pictures lie in {counts.holding(0.5):,} of {len(used):,} categories with "
        f"products, nine tenths in {counts.holding(0.9):,}. A category has {used.min():,} to "
        f"{used.max():,} products, in the middle {np.median(used):,.0f}. "
        f"Categories with fewer than {_FEW}: {(used < _FEW).sum():,}."
    )
    return Markup('<p>{}</p>\n{}\n{}\n<p class="note">{}</p>\n{}').format(
        sentence,
        figures.add("long tail", tail_chart(counts), "products by category"),
        table(columns, rows),
        "The head is the largest categories, which hold a third of the labelled products; the "
        "middle holds the second third, the tail the last.",
        _unused(counts),
    )


def _unused(counts: CategoryCounts) -> Markup:
    """The categories without a product."""
    labels = np.flatnonzero(counts.products == 0)
    if not len(labels):
        return Markup("<p>Every category has products.</p>")
    named = ", ".join(
        f"{counts.categories.level3_names[label]} ({counts.categories.category_ids[label]})"
        for label in labels[:_NAMED]
    )
    more = f", and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return Markup("<p>Categories without a product: {}. {}{}.</p>").format(
        f"{len(labels):,}", named, more
    )
