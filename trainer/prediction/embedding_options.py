"""The flags that say how products' features and neighbours are found."""

from __future__ import annotations

import dataclasses

from trainer.prediction.options import InputOptions
from trainer.runs.state import CHECKPOINTS
from trainer.terminal.option import OptionError, option

SEARCHES = ("auto", "exact", "approximate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmbeddingOptions(InputOptions):
    """How features are computed, and how neighbours are searched."""

    checkpoint: str = option(
        "best",
        "The epoch with the lowest validation loss (best), or the last one. The runs that a fused "
        "run is made of always have their best.",
        group="Features",
        choices=CHECKPOINTS,
    )
    flip: bool = option(
        False,
        "Features are the means of those of a picture and of its mirror image: half as fast.",
        group="Features",
    )
    neighbours: int = option(
        0,
        "How many of the most similar other products to find for each; 0: none.",
        group="Neighbours",
        at_least=0,
    )
    among: str | None = option(
        None,
        "Find the neighbours among the products of this split, e.g. --split=test --among=train, or "
        "of a file that `python -m trainer.embed` wrote with the same weights. Default: among "
        "those of --split.",
        group="Neighbours",
    )
    search: str = option(
        "auto",
        "Compare all products with all (exact), or search a graph, which misses some "
        "(approximate; needs usearch). auto: exact up to 100,000 products or with a GPU.",
        group="Neighbours",
        choices=SEARCHES,
    )

    def require_consistent(self) -> None:
        """Raises OptionError if flags contradict each other."""
        if self.among is not None and not self.neighbours:
            raise OptionError(
                "--among says where neighbours are looked for. Name their number as well, such as "
                f"--neighbours=10. Received: --among={self.among} alone."
            )
