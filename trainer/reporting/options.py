"""What a report shows."""

from __future__ import annotations

import dataclasses

from trainer.terminal.option import option

_REPORT, _EXAMPLES = "Report", "Examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of a report."""

    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir), for the examples' "
        "pictures. Default: where each run found it.",
        group=_REPORT,
        is_path=True,
        any_storage=True,
    )
    data_page: str | None = option(
        None,
        "The page of the data set that `python -m cdisc_tfds.explore` made, to link to.",
        group=_REPORT,
        is_path=True,
    )
    examples: int = option(
        24, "Wrong predictions to show of each evaluation.", group=_EXAMPLES, at_least=0
    )
    category_examples: int = option(
        4,
        "Wrong predictions to show of each category, and half as many right ones.",
        group=_EXAMPLES,
        at_least=0,
    )
    max_examples: int = option(
        600,
        "Examples by category on the page, shared by all evaluations. The categories with the most "
        "wrong predictions come first.",
        group=_EXAMPLES,
        at_least=0,
    )
