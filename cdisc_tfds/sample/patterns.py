"""The patterns of a product's main parts, as polygons over the whole square."""

from __future__ import annotations

import functools

import numpy as np

from cdisc_tfds.sample.outlines import box, oval

PATTERNS = ("plain", "stripes", "dots", "checks", "chevrons", "flowers", "halves", "stars")


@functools.cache
def pattern_polygons(name: str) -> list[tuple[np.ndarray, bool]]:
    """The polygons of a pattern, float [n, 2] in units of its pitch, each with a flag.

    The flag is True for the full second colour, False for the colour halfway to it.

    Raises:
      ValueError: `name` is not one of `PATTERNS`.
    """
    reach = 5  # times the pitch: outside the square
    cells = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
    if name == "plain":
        return []
    if name == "halves":
        return [(box("", -3, 0, 3, 3).points, True)]
    if name == "stripes":
        return [(box("", -9, y - 0.25, 9, y + 0.25).points, True) for y in range(-reach, reach)]
    if name == "checks":
        rows = [box("", -9, y - 0.25, 9, y + 0.25).points for y in range(-reach, reach)]
        columns = [row[:, ::-1] for row in rows]
        crossings = [box("", x - 0.25, y - 0.25, x + 0.25, y + 0.25).points for x, y in cells]
        return [(p, False) for p in rows + columns] + [(p, True) for p in crossings]
    if name == "chevrons":
        x = np.arange(-2 * reach, 2 * reach + 1) / 2
        top = np.stack([x, np.abs(x % 2 - 1) - 0.25], 1)
        bottom = top + [0, 0.45]
        band = np.concatenate([top, bottom[::-1]])
        return [(band + [0, y], True) for y in range(-reach, reach)]
    if name == "dots":
        return [(oval("", x + y % 2 / 2, y, 0.27, 0.27).points, True) for x, y in cells]
    if name == "flowers":
        angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        radius = 0.3 + 0.16 * np.cos(5 * angle)
    elif name == "stars":
        angle = np.arange(10) * np.pi / 5 - np.pi / 2
        radius = np.where(np.arange(10) % 2, 0.17, 0.44)
    else:
        raise ValueError(f"A pattern is one of {', '.join(PATTERNS)}. Received: {name!r}.")
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return [(outline + [x + y % 2 / 2, y], True) for x, y in cells]
