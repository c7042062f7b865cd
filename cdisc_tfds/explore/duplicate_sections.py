"""Sections of the page: the most frequent pictures, and those of several categories."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from cdisc_tfds.categories import Categories
from cdisc_tfds.explore.count_sections import percent
from cdisc_tfds.explore.duplicates import Repeats
from cdisc_tfds.explore.pictures import Place
from cdisc_tfds.pages.shots import Shot, shots

_FREQUENT = 24  # pictures shown
_DISPUTED = 24
_NAMED = 3  # categories named of each

NOT_READ = Markup(
    "<p>Not looked for: that takes every picture, and --shards read only a part of them.</p>"
)


def places_shown(repeats: Repeats) -> list[Place]:
    """The pictures that both sections show."""
    return [_place(repeats, group) for group in [*_frequent(repeats), *_disputed(repeats)]]


def _frequent(repeats: Repeats) -> list[int]:
    return list(map(int, repeats.most_frequent[:_FREQUENT]))


def _disputed(repeats: Repeats) -> list[int]:
    return list(map(int, repeats.disputed[:_DISPUTED]))


def _place(repeats: Repeats, group: int) -> Place:
    """Where the first picture of a group is."""
    first = repeats.members(group).start
    return Place(int(repeats.split[first]), int(repeats.row[first]), int(repeats.position[first]))


def duplicates(repeats: Repeats, categories: Categories, pictures: Mapping[Place, bytes]) -> Markup:
    """How many pictures are exact copies, and the most frequent ones."""
    if not repeats.num_groups:
        return Markup("<p>No two pictures have equal files.</p>")
    copies = repeats.num_pictures - repeats.num_distinct
    sentence = (
        f"{repeats.num_distinct:,} of {repeats.num_pictures:,} pictures are distinct, byte for "
        f"byte; {copies:,} ({percent(copies, repeats.num_pictures)}) are copies. "
        f"Pictures that occur more than once, in all splits together: {repeats.num_groups:,}. "
        "Pictures that were saved again or resized are not found. The most frequent:"
    )
    return Markup("<p>{}</p>\n{}").format(
        sentence, _shown(_frequent(repeats), repeats, categories, pictures)
    )


def disputed(
    repeats: Repeats, categories: Categories, pictures: Mapping[Place, bytes], csv_name: str
) -> Markup:
    """The pictures whose products have several categories."""
    if not len(repeats.disputed):
        return Markup("<p>No picture has products of several categories.</p>")
    products = repeats.num_products(repeats.disputed)
    sentence = (
        f"Pictures whose products have several categories: {len(repeats.disputed):,}; products "
        f"that show them: {products:,}. They are placeholders, accessories, or wrong labels. "
    )
    link = Markup('<a href="{}">{}</a>').format(urllib.parse.quote(csv_name), csv_name)
    return Markup("<p>{}{} lists them all, product by product.</p>\n{}").format(
        sentence, link, _shown(_disputed(repeats), repeats, categories, pictures)
    )


def _shown(
    groups: Sequence[int],
    repeats: Repeats,
    categories: Categories,
    pictures: Mapping[Place, bytes],
) -> Markup:
    return shots(
        [
            Shot(pictures[_place(repeats, group)], _caption(group, repeats, categories))
            for group in groups
        ]
    )


def _caption(group: int, repeats: Repeats, categories: Categories) -> Markup:
    found = repeats.categories(group)
    names = [
        f"{categories.level3_names[label]} ({products:,})" for label, products in found[:_NAMED]
    ]
    if len(found) > _NAMED:
        names.append(f"{len(found) - _NAMED:,} more categories")
    return Markup("<b>{} times</b>, products: {}. {}").format(
        f"{repeats.pictures[group]:,}",
        f"{repeats.products[group]:,}",
        "; ".join(names) or "no category",
    )
