"""How a data set is built: arguments of the builder, or environment variables for `tfds build`.

TFDS's command has no way to pass an argument to a builder; a variable reaches it from anywhere.
"""

from __future__ import annotations

import dataclasses
import os

from cdisc_tfds.machine import num_cores

PREFIX = "CDISCOUNT_"


class BuildOptionError(ValueError):
    """An option that cannot be used."""


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """Options of one build; no option changes what a record holds.

    Attributes:
      num_processes: how many processes the build uses. CDISCOUNT_NUM_PROCESSES; default: all cores.
      keep_going: skip damaged stretches of a .bson file, and list them, instead of stopping there.
        CDISCOUNT_KEEP_GOING.
      reread: True: write the shards straight from the .bson files, whose documents are read a
        second time; fast where they stay in the page cache. False: sort copies on the disk first,
        so that all access to it is sequential. None: the first where the files take at most half
        of the free memory. CDISCOUNT_REREAD.
      train_only: build without test.bson. CDISCOUNT_TRAIN_ONLY.
      stock_writer: use TFDS's own writer, in one process. CDISCOUNT_STOCK_WRITER.
    """

    num_processes: int
    keep_going: bool
    reread: bool | None
    train_only: bool
    stock_writer: bool

    @classmethod
    def resolve(
        cls,
        num_processes: int | None = None,
        keep_going: bool | None = None,
        reread: bool | None = None,
        train_only: bool | None = None,
        stock_writer: bool | None = None,
    ) -> BuildOptions:
        """Takes options that are None from the environment, or else their defaults."""
        if num_processes is None:
            num_processes = _environment_number("NUM_PROCESSES", num_cores())
        if num_processes < 1:
            raise BuildOptionError(f"`num_processes` must be 1 or more. Received: {num_processes}.")
        return cls(
            num_processes,
            bool(_environment_flag("KEEP_GOING") if keep_going is None else keep_going),
            _environment_flag("REREAD") if reread is None else reread,
            bool(_environment_flag("TRAIN_ONLY") if train_only is None else train_only),
            bool(_environment_flag("STOCK_WRITER") if stock_writer is None else stock_writer),
        )


def _environment_flag(name: str) -> bool | None:
    """None where it is not set."""
    text = os.environ.get(PREFIX + name, "")
    if text not in ("", "0", "1"):
        raise BuildOptionError(f"{PREFIX}{name} must be 0 or 1. Received: {text!r}.")
    return text == "1" if text else None


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(PREFIX + name, "")
    if text and not text.isdecimal():
        raise BuildOptionError(f"{PREFIX}{name} must be a whole number. Received: {text!r}.")
    return int(text) if text else default
