"""How a run looks: its colour and marker, the same in every chart and table of a report."""

from __future__ import annotations

import dataclasses

# Okabe and Ito's colours for all kinds of colour vision, except yellow (too light on white).
# Runs with the same colour differ in their markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#333333")
MARKERS = "osD^vPX<>ph*"


@dataclasses.dataclass(frozen=True)
class Style:
    """How one run looks: a hex colour, a Matplotlib marker, and whether it is drawn hollow."""

    colour: str
    marker: str
    hollow: bool


def style_of(place: int) -> Style:
    """The style of the report's run number `place` (from 0); the first 84 are all different."""
    return Style(
        COLOURS[place % len(COLOURS)],
        MARKERS[place % len(MARKERS)],
        hollow=place // len(COLOURS) % 2 == 1,
    )
