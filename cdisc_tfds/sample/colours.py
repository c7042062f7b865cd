"""The colours of the sample's products: tones, and the shades that scatter around them."""

from __future__ import annotations

import colorsys
import random

Colour = tuple[int, int, int]  # red, green, blue from 0 to 255

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

# Hue, saturation and value in [0, 1] that a tone's products scatter around.
TONES: dict[str, tuple[float, float, float]] = {
    "red": (0.00, 0.80, 0.80),
    "gold": (0.12, 0.75, 0.90),
    "green": (0.36, 0.65, 0.60),
    "blue": (0.60, 0.70, 0.75),
    "pink": (0.90, 0.50, 0.92),
    "grey": (0.60, 0.08, 0.45),
}


def shade_of(tone: str, rng: random.Random) -> Colour:
    """A random shade of a tone."""
    hue, saturation, value = TONES[tone]
    hue = (hue + rng.gauss(0, 0.025)) % 1
    saturation = min(1, max(0, saturation + rng.gauss(0, 0.1)))
    value = min(1, max(0.15, value + rng.gauss(0, 0.1)))
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """The colour at `share` (0 to 1) of the way from `one` to `other`, rounded."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other))
    return red, green, blue


def halfway(one: Colour, other: Colour) -> Colour:
    """The colour midway between two, rounded down."""
    red, green, blue = ((a + b) // 2 for a, b in zip(one, other))
    return red, green, blue
