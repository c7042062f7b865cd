"""The settings of a run: learning from products whose labels it does not use."""

from __future__ import annotations

import dataclasses

from trainer.terminal.option import option

_GROUP = "Pseudo labels"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabelOptions:
    """Which products a run labels by itself to learn from them."""

    pseudo_label_split: str | None = option(
        None,
        "Also train on these products, with the network's own guesses for labels: `test`, for "
        "example. Labels that they have are not used. Gained 2.4 points on photos from other "
        "stores (docs/recipes.md). none: no products, also with a preset. Default: none.",
        group=_GROUP,
        since="0.3",
    )
    pseudo_label_after: int | None = option(
        None,
        "Epochs before the first with pseudo labels; each epoch after them begins by labelling "
        "anew. Default: half of --epochs.",
        group=_GROUP,
        at_least=1,
        since="0.3",
    )
    pseudo_label_share: float = option(
        0.8,
        "Share of the pictures of --pseudo_label_split to train on: those of the products with "
        "the surest guesses.",
        group=_GROUP,
        above=0,
        at_most=1,
        since="0.3",
    )
