"""Section of the page: the other splits against the training split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.explore.count_sections import percent
from cdisc_tfds.explore.duplicates import Repeats
from cdisc_tfds.explore.pictures import Place
from cdisc_tfds.explore.scan import ScannedSplit
from cdisc_tfds.pages.shots import Shot, shots
from cdisc_tfds.pages.table import table


def reference_of(splits: Sequence[ScannedSplit]) -> int:
    """The ordinal of the split to compare with: `train`, else the first."""
    return next((place for place, split in enumerate(splits) if split.name == "train"), 0)


def compared(
    splits: Sequence[ScannedSplit],
    repeats: Repeats | None,
    sampled: Sequence[Sequence[Place]],
    pictures: Mapping[Place, bytes],
) -> Markup:
    """The splits side by side: figures, and random pictures.

    Args:
      splits: the splits.
      repeats: their equal pictures; None if they were not looked for.
      sampled: random pictures of each split.
      pictures: the JPEG files of those.
    """
    if len(splits) < 2:
        names = ", ".join(split.name for split in splits)
        return Markup("<p>The data set has no other split than {}.</p>").format(names)
    strips = Markup("\n").join(
        Markup("<h3>Random pictures of {}</h3>\n{}").format(
            split.name,
            shots(
                [Shot(pictures[place], f"{split.index.product_id[place.row]}") for place in places]
            ),
        )
        for split, places in zip(splits, sampled, strict=True)
        if places
    )
    columns = [("", ""), *((split.name, "number") for split in splits)]
    rows = [*_figures(splits), *([] if repeats is None else _shared(splits, repeats))]
    return Markup("{}\n{}").format(table(columns, rows), strips)


def _figures(splits: Sequence[ScannedSplit]) -> list[list[object]]:
    return [
        ["products", *(f"{len(split.index):,}" for split in splits)],
        ["pictures a product", *(_mean(split.index.num_pictures) for split in splits)],
        ["products with one picture", *(_share_of_single(split) for split in splits)],
        ["median bytes a picture", *(_median(split.measured[:, 0]) for split in splits)],
        ["most frequent size", *(_frequent_size(split) for split in splits)],
    ]


def _shared(splits: Sequence[ScannedSplit], repeats: Repeats) -> list[list[object]]:
    """What each split has in common with the reference."""
    reference = reference_of(splits)
    name = splits[reference].name
    pictures: list[object] = [f"pictures also in {name}"]
    products: list[object] = [f"products with one of {name}"]
    for place, split in enumerate(splits):
        if place == reference:
            pictures.append(None)
            products.append(None)
            continue
        both = repeats.shared_with(reference, place)
        pictures.append(f"{both[0]:,} ({percent(both[0], split.index.total_pictures)})")
        products.append(f"{both[1]:,} ({percent(both[1], len(split.index))})")
    return [pictures, products]


def _mean(values: np.ndarray) -> str | None:
    return f"{values.mean():.2f}" if len(values) else None


def _median(values: np.ndarray) -> str | None:
    return f"{np.median(values):,.0f}" if len(values) else None


def _share_of_single(split: ScannedSplit) -> str:
    return percent(int((split.index.num_pictures == 1).sum()), len(split.index))


def _frequent_size(split: ScannedSplit) -> str | None:
    if not len(split.measured):
        return None
    pixels, number = np.unique(split.measured[:, 1:], axis=0, return_counts=True)
    width, height = pixels[number.argmax()].tolist()
    return f"{width} x {height} ({percent(int(number.max()), len(split.measured))})"
