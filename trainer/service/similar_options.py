"""The flags for similar products: which file, and how many to show."""

from __future__ import annotations

import dataclasses

from trainer.prediction.embedding_options import SEARCHES
from trainer.terminal.option import OptionError, option

_SIMILAR = "Similar products"
_NUMBER, _METHOD = 6, "auto"


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
    neighbours: int | None = option(
        None,
        f"How many to show. Default: {_NUMBER}.",
        group=_SIMILAR,
        at_least=1,
        at_most=100,
    )
    search: str | None = option(
        None,
        f"How to find them, as in `python -m trainer.embed`. Default: {_METHOD}.",
        group=_SIMILAR,
        choices=SEARCHES,
    )
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the run "
        "found it.",
        group=_SIMILAR,
        is_path=True,
        any_storage=True,
    )

    @property
    def number(self) -> int:
        """How many products to show."""
        return _NUMBER if self.neighbours is None else self.neighbours

    @property
    def method(self) -> str:
        """How to find them, one of SEARCHES."""
        return self.search or _METHOD

    def require_file(self) -> None:
        """Raises OptionError for a flag about similar products without a file of them."""
        if self.similar is not None:
            return
        for name in ("neighbours", "search", "data_dir"):
            if (value := getattr(self, name)) is not None:
                raise OptionError(
                    f"--{name} is about similar products, which come from a file of features: "
                    "name it with --similar=FILE. Received: "
                    f"--{name}={value} without --similar. Leave it out, or name the file."
                )
