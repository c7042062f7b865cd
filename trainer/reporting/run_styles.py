"""How a run looks: its colour and marker, the same in every chart and table of a report."""

from __future__ import annotations

import dataclasses

# Okabe and Ito's colours for all kinds of colour vision, without their yellow (too light on white).
# A later run with the same colour has another marker, and a hollow one.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
MARKERS = "osD^vPX<>ph*"


@dataclasses.dataclass(frozen=True)
class Style:
    """How one run looks: a hex colour, a Matplotlib marker, and whether it is drawn hollow."""

    colour: str
    marker: str
    hollow: bool


def style_of(place: int) -> Style:
    """The look of the run at `place` (0, 1, ...) of the report; the first 84 are all different."""
    return Style(
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        hollow=place // len(COLOURS) % 2 == 1,
    )
