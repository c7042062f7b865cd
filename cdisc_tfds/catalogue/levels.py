"""A category's path of any number of levels, and the three levels of `category_names.csv`.

The rule: the first two levels keep their places, and the third holds the rest, joined by " > ". The
last name of a shorter path is repeated, as the competition does.

    Garden                        Garden | Garden  | Garden
    Garden > Chairs               Garden | Chairs  | Chairs
    Garden > Chairs > Loungers    Garden | Chairs  | Loungers
    A > B > C > D                 A      | B       | C > D
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

JOINT = " > "

Triple = tuple[str, str, str]
Path = tuple[str, ...]


def plain_name(text: str) -> str:
    """A name on one line, without spaces at its edges, in Unicode's composed form (NFC).

    Some systems decompose the names of folders, so equal names would differ.
    """
    return unicodedata.normalize("NFC", " ".join(text.split()))


def path_of(names: Iterable[str]) -> Path:
    """The levels that are not empty, as plain names."""
    return tuple(name for name in map(plain_name, names) if name)


def three_levels(path: Path) -> Triple:
    """The levels for `category_names.csv`. Args: path: at least one level."""
    level1 = path[0]
    level2 = path[1] if len(path) > 1 else level1
    return level1, level2, JOINT.join(path[2:]) or level2
