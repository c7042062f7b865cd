"""`python -m cdisc_tfds.catalogue`: makes the competition's files from a shop's own."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence

from cdisc_tfds.catalogue.flags import parser
from cdisc_tfds.catalogue.making import Summary, make_catalogue
from cdisc_tfds.catalogue.options import CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.output import SPLIT_FILES
from cdisc_tfds.local_path import local_path
from cdisc_tfds.progress_line import ProgressLine, duration

_PATHS = ("output_dir", "csv", "images", "folders", "dump", "category_names")


def _options(argv: Sequence[str] | None) -> CatalogueOptions:
    values = vars(parser().parse_args(argv))
    for name in _PATHS:
        if values[name] is not None:
            values[name] = local_path(values[name], f"--{name}")
    return CatalogueOptions(**values)


class _Progress:
    """A line for the survey, and one for the products."""

    def __init__(self) -> None:
        self._what, self._line = "", ProgressLine("", None, "")

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what != self._what:
            self.close()
            label = "reading" if total is None else "writing"
            self._what, self._line = what, ProgressLine(label, total, what)
        self._line.update(done)

    def close(self) -> None:
        if self._what:
            self._line.close()


def _print_summary(options: CatalogueOptions, summary: Summary, seconds: float) -> None:
    for note in summary.notes:
        print(f"Note: {note}.")
    total = sum(counts.get("products", 0) for name, counts in _split_counts(summary))
    rate = total / max(seconds, 1e-9)
    print(f"{options.output_dir}, in {duration(seconds)} ({rate:,.0f} products/s):")
    for name, counts in sorted(summary.files.items()):
        told = ", ".join(f"{number:,} {what}" for what, number in counts.items())
        print(f"  {name}{f': {told}' if told else ''}")
    left_out = [f"{number:,} of {kind}" for kind, number in summary.rejected.items() if number]
    if left_out:
        listed = os.path.join(options.output_dir, "rejected.jsonl")
        print(f"Left out: {', '.join(left_out)}; {listed} gives the reason for each.")
    _print_next(options)


def _split_counts(summary: Summary) -> list[tuple[str, dict[str, int]]]:
    return [(name, one) for name, one in summary.files.items() if name in SPLIT_FILES.values()]


def _print_next(options: CatalogueOptions) -> None:
    there = {
        split: os.path.exists(os.path.join(options.output_dir, name))
        for split, name in SPLIT_FILES.items()
    }
    if there["train"]:
        alone = "" if there["test"] else "CDISCOUNT_TRAIN_ONLY=1 "
        folder = shlex.quote(f"--manual_dir={options.output_dir}")
        print(f"Next:\n  {alone}tfds build cdiscount {folder}")
    else:
        print("A data set also needs train.bson and category_names.csv in this folder.")


def main(argv: Sequence[str] | None = None) -> None:
    started = time.monotonic()
    progress = _Progress()
    try:
        options = _options(argv)
        summary = make_catalogue(options, progress)
    except KeyboardInterrupt:
        progress.close()
        print("Stopped by the keyboard. Nothing was written.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        progress.close()
        if not isinstance(error, OSError) and not _explains_itself(error):
            raise
        sys.exit(f"error: {error}")
    progress.close()
    _print_summary(options, summary, time.monotonic() - started)


def _explains_itself(error: Exception) -> bool:
    """Whether an error is written for the user; a library's needs its traceback."""
    return isinstance(error, CatalogueError) or type(error).__module__.startswith("cdisc_tfds.")


if __name__ == "__main__":
    main()
