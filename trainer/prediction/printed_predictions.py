"""Predictions as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cdisc_tfds.photo_products import RejectedPhoto
from trainer.prediction.prediction_files import as_text
from trainer.prediction.ranked_products import ClassNames, RankedProducts


def printed(
    products: RankedProducts, names: ClassNames, accepted: np.ndarray | None
) -> Iterator[str]:
    """The lines for some products.

    Args:
      products: the products.
      names: what the classes are called.
      accepted: bool [n]; None without a threshold.
    """
    for place, name in enumerate(products.names):
        pictures = int(products.num_pictures[place])
        line = f"{printable(name)}  ({pictures} photo{'' if pictures == 1 else 's'})"
        if accepted is not None:
            line += "  accepted" if accepted[place] else "  not accepted"
        yield line
        if not pictures:
            continue
        for label, probability in zip(products.classes[place], products.probabilities[place]):
            own = "" if names.category_ids is None else f"{names.category_ids[label]}  "
            yield f"  {probability:7.4f}  {own}{printable(names.paths[label])}"


def printed_rejection(rejection: RejectedPhoto) -> str:
    """The line for what cannot be used."""
    named = rejection.photo or rejection.product
    return printable(f"{named}: {rejection.reason}" if named else rejection.reason)


def printable(text: str) -> str:
    """A text in one line that cannot control the terminal."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in as_text(text)
    )
