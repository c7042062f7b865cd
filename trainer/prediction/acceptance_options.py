"""The flags that say which first guesses are accepted without a person's check."""

from __future__ import annotations

import dataclasses

from trainer.terminal.option import OptionError, option

_ACCEPTANCE = "Acceptance"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptanceOptions:
    """The flags that say which first guesses to accept."""

    threshold: float | None = option(
        None,
        "Accept a product whose most probable class has at least this probability.",
        group=_ACCEPTANCE,
        above=0,
        at_most=1,
    )
    precision: float | None = option(
        None,
        "Accept as many products as can be so that this share of them is right, as measured by "
        "`python -m trainer.evaluate`: 0.9, 0.95 or 0.99.",
        group=_ACCEPTANCE,
        above=0,
        at_most=1,
    )
    evaluation: str | None = option(
        None,
        "The evaluation that --precision takes the threshold from; for several runs, also the "
        "temperature. Default: that of the run on its validation split.",
        group=_ACCEPTANCE,
        is_path=True,
        any_storage=True,
    )

    def require_consistent(self) -> None:
        """Raises OptionError if both --threshold and --precision are given."""
        if self.threshold is not None and self.precision is not None:
            raise OptionError(
                "--precision finds the threshold itself. Received: both --threshold and "
                "--precision. Leave one of them out."
            )
