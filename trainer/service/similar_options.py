"""The flags for similar products: which file, and how many to show."""

from __future__ import annotations

import dataclasses

from trainer.prediction.embedding_options import SEARCHES
from trainer.terminal.option import option

_SIMILAR = "Similar products"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarOptions:
    """Which products to compare with, and how many of them to show."""

    similar: str | None = option(
        None,
        "Show the most similar products of this file, which `python -m trainer.embed` wrote of the "
        "same weights, e.g. of --split=train. Their pictures come from the data set.",
        group=_SIMILAR,
        is_path=True,
    )
    neighbours: int = option(6, "How many to show.", group=_SIMILAR, at_least=1, at_most=100)
    search: str = option(
        "auto",
        "How to find them, as in `python -m trainer.embed`.",
        group=_SIMILAR,
        choices=SEARCHES,
    )
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the run "
        "found it.",
        group=_SIMILAR,
        is_path=True,
    )
