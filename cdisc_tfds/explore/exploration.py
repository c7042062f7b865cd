"""Makes the page of a data set.

A section of the page is a function in a `*_section(s).py`; each chart has a module (`*_chart.py`).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from cdisc_tfds.built_dataset import BuiltDataset, newest_version
from cdisc_tfds.explore import (
    category_sections,
    count_sections,
    duplicate_sections,
    example_sections,
    size_sections,
    split_sections,
)
from cdisc_tfds.explore.category_counts import CategoryCounts
from cdisc_tfds.explore.disputed_file import write_disputed
from cdisc_tfds.explore.duplicates import Repeats, find_repeats
from cdisc_tfds.explore.example_sections import Examples, random_places
from cdisc_tfds.explore.pictures import Place, pictures_at
from cdisc_tfds.explore.rejected_items import RejectedItems
from cdisc_tfds.explore.rejected_section import rejected
from cdisc_tfds.explore.scan import OnBytes, ScannedSplit, scan
from cdisc_tfds.pages.page import page
from cdisc_tfds.pages.page_figures import Figures
from cdisc_tfds.pages.page_link import link_to
from cdisc_tfds.whole_files import can_create, whole_file

_RANDOM = 18  # pictures of each split, side by side


class ExploreError(ValueError):
    """The page cannot be written."""


@dataclasses.dataclass(frozen=True)
class ExploreOptions:
    """What the page shows.

    Attributes:
      shards: shards of each split to read, chosen at random; 0: all. Exact duplicates need all.
      examples: examples of each category.
      max_examples: examples on the page.
      seed: of everything that is chosen at random.
      processes: processes that read.
      report: a report on runs to link to; it may be made later.
    """

    shards: int = 0
    examples: int = 4
    max_examples: int = 2000
    seed: int = 0
    processes: int = 1
    report: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name, least in (("shards", 0), ("examples", 0), ("max_examples", 0), ("processes", 1)):
            if getattr(self, name) < least:
                raise ExploreError(
                    f"--{name} must be at least {least}. Received: {getattr(self, name)}."
                )


def write_exploration(
    data_dir: str | os.PathLike[str] | None,
    output: str | os.PathLike[str],
    options: ExploreOptions,
    on_start: Callable[[int], OnBytes],
) -> pathlib.Path | None:
    """Writes the page, which needs no other file, and the CSV of disputed pictures beside it.

    Each file appears whole or not at all, the page last. The same data set and options give the
    same bytes.

    Args:
      data_dir: TFDS's data folder; None: its default.
      output: the path of the page.
      options: what to show.
      on_start: called with the bytes to read; what it returns is called as they are read.

    Returns:
      The path of the CSV; None if duplicates were not looked for.

    Raises:
      ExploreError: no page can be written to `output`.
      DatasetError: the data set has not been built, or is damaged.
      ProductIndexError, CategoryError: a file of it is damaged.
    """
    output = pathlib.Path(output)
    csv_path = _csv_beside(output)
    for path in (output, csv_path):
        if path.is_dir() or not can_create(path):
            raise ExploreError(
                "--output must be a file in a folder that can be written to, like "
                f"{csv_path.name} beside it. Received: {output}."
            )
    data = BuiltDataset(newest_version(data_dir))
    found = _Found.of(data, options, on_start)
    text = _page(data, options, found, output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if found.repeats is not None:
        write_disputed(csv_path, found.repeats, found.splits, data.categories)
    with whole_file(output, "w", encoding="utf-8") as file:
        file.write(text)
    return csv_path if found.repeats is not None else None


def _csv_beside(output: pathlib.Path) -> pathlib.Path:
    """The CSV of disputed pictures beside the page."""
    return output.with_name(f"{output.stem}_several_categories.csv")


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """All that the sections show."""

    splits: Sequence[ScannedSplit]
    counts: CategoryCounts
    rejected: RejectedItems
    repeats: Repeats | None
    examples: Examples
    random: Sequence[Sequence[Place]]
    pictures: dict[Place, bytes]

    @classmethod
    def of(
        cls, data: BuiltDataset, options: ExploreOptions, on_start: Callable[[int], OnBytes]
    ) -> _Found:
        items = RejectedItems.of(data)
        counts = CategoryCounts.of([data.index(name) for name in data.split_sizes], data.categories)
        splits = scan(
            data,
            max_shards=options.shards,
            seed=options.seed,
            num_processes=options.processes,
            on_start=on_start,
        )
        repeats = find_repeats(splits) if all(split.is_whole for split in splits) else None
        rng = np.random.default_rng(options.seed)
        chosen = Examples.choose(
            splits, counts, number=options.examples, limit=options.max_examples, rng=rng
        )
        random = random_places(splits, _RANDOM, rng)
        shown = [] if repeats is None else duplicate_sections.places_shown(repeats)
        places = [*chosen.places, *shown, *(place for places in random for place in places)]
        return cls(splits, counts, items, repeats, chosen, random, pictures_at(splits, places))


def _page(data: BuiltDataset, options: ExploreOptions, found: _Found, output: pathlib.Path) -> str:
    splits, counts, repeats, pictures = found.splits, found.counts, found.repeats, found.pictures
    figures = Figures()
    if repeats is None:
        repeated = disputed = duplicate_sections.NOT_READ
    else:
        repeated = duplicate_sections.duplicates(repeats, data.categories, pictures)
        disputed = duplicate_sections.disputed(
            repeats, data.categories, pictures, _csv_beside(output).name
        )
    sections = [
        ("splits", "Splits", count_sections.overview(splits)),
        ("categories", "Categories", category_sections.tree(counts)),
        ("tail", "Long tail", category_sections.long_tail(counts, figures)),
        ("pictures", "Pictures per product", count_sections.pictures_per_product(splits)),
        ("none", "Products without pictures", count_sections.without_pictures(splits)),
        ("sizes", "Sizes", size_sections.sizes(splits, figures)),
        ("duplicates", "Exact duplicates", repeated),
        ("several", "Pictures of several categories", disputed),
        ("rejected", "What the build left out", rejected(found.rejected)),
        (
            "compared",
            "Splits compared",
            split_sections.compared(splits, repeats, found.random, pictures),
        ),
        (
            "examples",
            "Examples",
            example_sections.examples(found.examples, splits, counts, pictures),
        ),
    ]
    title = f"The data set {data.builder.info.name} {data.builder.info.version}"
    introduction = _introduction(data, options, splits)
    if options.report is not None:
        introduction += Markup("\n<p>{}</p>").format(
            link_to(options.report, output, "The report on the runs")
        )
    return page(title, introduction, sections)


def _introduction(
    data: BuiltDataset, options: ExploreOptions, splits: Sequence[ScannedSplit]
) -> Markup:
    """What the page was made from."""
    digests = "; ".join(
        f"{name} {digest}"
        for name in data.split_sizes
        if (digest := data.metadata("records_digest", name))
    )
    read = "; ".join(
        f"{int(split.read.sum()):,} of {len(split.shards):,} of {split.name}" for split in splits
    )
    parts = [
        f"Made from the data set with the digest {data.metadata('digest') or 'not recorded'}.",
        f"Digests of the records: {digests or 'not recorded'}.",
        f"Counts are of every product. Sizes and pictures come from the shards read: {read}. "
        f"What is random was chosen with --seed={options.seed}.",
    ]
    return Markup('<p class="note">{}</p>').format(" ".join(parts))
