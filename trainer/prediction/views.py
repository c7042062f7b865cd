"""Test-time augmentation: the views of a picture whose probabilities are averaged."""

from __future__ import annotations

import dataclasses
import itertools

from trainer.terminal.option import OptionError

SMALLEST, LARGEST = 0.5, 2.0


@dataclasses.dataclass(frozen=True)
class Views:
    """Which views of a picture the network sees.

    Attributes:
      flip: whether it also sees the mirror image of each.
      scales: magnifications about the picture's centre. Above 1, the margins are cut off; below,
        the margins are white.
    """

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)

    @property
    def all(self) -> tuple[tuple[float, bool], ...]:
        """(magnification, whether mirrored) of each view."""
        return tuple(itertools.product(self.scales, (False, True) if self.flip else (False,)))


def parsed_scales(text: str) -> tuple[float, ...]:
    """The numbers of `--scales`.

    Raises:
      OptionError: unless they are distinct numbers from SMALLEST to LARGEST.
    """
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if (
        not scales
        or len(set(scales)) < len(scales)
        or not all(SMALLEST <= scale <= LARGEST for scale in scales)
    ):
        raise OptionError(
            f"--scales must be different numbers from {SMALLEST:g} to {LARGEST:g}, with commas "
            f"between, e.g. --scales=1,1.15. Received: {text}."
        )
    return scales
