"""Options of a build: arguments of the builder, or environment variables for `tfds build`.

TFDS's command cannot pass arguments to a builder, but environment variables reach it.
"""

from __future__ import annotations

import dataclasses
import os

from cdisc_tfds.machine import num_cores

PREFIX = "CDISCOUNT_"


class BuildOptionError(ValueError):
    """An option has an invalid value."""


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """Options of one build; no option changes what a record holds.

    Attributes:
      num_processes: number of processes. CDISCOUNT_NUM_PROCESSES; default: one per core.
      keep_going: skip damaged stretches of a .bson file, and list them, instead of stopping there.
        CDISCOUNT_KEEP_GOING.
      reread: True: read the .bson files a second time and write the shards directly from them;
        fast if the files stay in the page cache. False: first write sorted copies to the disk, so
        that all access to it is sequential. None: True if the files take at most half of the free
        memory. CDISCOUNT_REREAD.
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
        """Replaces options that are None by their environment variables, or else their defaults."""
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
    """The flag's value, or None if it is not set."""
    text = os.environ.get(PREFIX + name, "")
    if text not in ("", "0", "1"):
        raise BuildOptionError(f"{PREFIX}{name} must be 0 or 1. Received: {text!r}.")
    return text == "1" if text else None


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(PREFIX + name, "")
    if text and not text.isdecimal():
        raise BuildOptionError(f"{PREFIX}{name} must be a whole number. Received: {text!r}.")
    return int(text) if text else default
