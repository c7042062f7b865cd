"""`python -m cdisc_tfds.catalogue`: makes the competition's files from a shop's own."""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import sys
import time
from collections.abc import Sequence

from cdisc_tfds.catalogue.fitted_picture import DEFAULT_MAX_SIZE
from cdisc_tfds.catalogue.making import Summary, make_catalogue
from cdisc_tfds.catalogue.options import PRODUCT_RULES, SPLITS, CatalogueError, CatalogueOptions
from cdisc_tfds.catalogue.output import SPLIT_FILES
from cdisc_tfds.local_path import local_path
from cdisc_tfds.machine import num_cores
from cdisc_tfds.progress_line import ProgressLine, duration

_PATHS = ("output_dir", "csv", "images", "folders", "dump", "category_names")
_DESCRIPTION = """\
Makes train.bson, test.bson and category_names.csv from the products of a shop: from a table and
picture files (--csv), a folder per category (--folders), or what mongodump wrote (--dump).
Pictures become JPEGs of at most --max_size a side; JPEGs that fit stay byte for byte.
Then: tfds build cdiscount --manual_dir=DIR
"""


def _names(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that has one is written in quotes."""
    return tuple(name.strip() for row in csv.reader([text]) for name in row if name.strip())


def _delimiter(text: str) -> str:
    """One character; `\\t` and `tab` are a tab."""
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise argparse.ArgumentTypeError(f"must be one character. Received: {text!r}")
    return delimiter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cdisc_tfds.catalogue",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="folder for the files")

    add = parser.add_argument_group("where the products are (one of them)").add_argument
    add("--csv", help="a table with a row per product, or per picture of a product")
    add("--folders", help="a folder with a folder per category; nested folders are levels")
    add("--dump", help="what mongodump wrote: .bson, .bson.gz, or an archive (plain or gzip)")

    add = parser.add_argument_group("tables and dumps").add_argument
    add("--images", help="folder of the picture files that are named (the table's folder)")
    add("--id", dest="product_id", help="column or field of the product's id (a usual name)")
    add("--category", type=_names, default=(), help="column of the category's path, or its levels: "
        "LEVEL1,LEVEL2,... (usual names)")  # fmt: skip
    add("--category_id", help="column or field of the category's own id (a usual name)")
    add("--pictures", type=_names, default=(), help="columns or fields of pictures, such as "
        "photo1,photo2 or imgs.picture (usual names)")  # fmt: skip
    add("--category_separator", default=">", help="between the levels of a path (>)")
    add("--picture_separator", help="between several files in a cell (| or ; or a comma)")
    add("--delimiter", type=_delimiter, help="between the cells of a table (found out)")
    add("--collection", help="DB.COLLECTION to read from an archive (its only one)")

    add = parser.add_argument_group("folders").add_argument
    add("--product", choices=PRODUCT_RULES, default="file", help="what a product is: each file "
        "(default), files whose names differ in a number at the end (12_1.jpg, 12_2.jpg), or the "
        "innermost folder")  # fmt: skip

    add = parser.add_argument_group("what to write").add_argument
    add("--split", choices=SPLITS, help="train: products with a category only; test: all, to be "
        "predicted (default: those with a category are train, the others test)")  # fmt: skip
    add("--test_share", type=float, default=0.0, help="share of the products with a category to "
        "set aside as test.bson, with solution.csv (0)")  # fmt: skip
    add("--category_names", help="use exactly the categories of this file, in the format of "
        "category_names.csv")  # fmt: skip
    add("--max_size", type=int, default=DEFAULT_MAX_SIZE,
        help=f"longest side of a picture, in pixels ({DEFAULT_MAX_SIZE})")  # fmt: skip
    add("--keep_going", action="store_true", help="use what can be used, even if it is less than "
        "half; of a damaged dump, what is before the damage")  # fmt: skip
    add("--overwrite", action="store_true", help="replace what an earlier run wrote")
    add("--processes", dest="num_processes", type=int, default=num_cores(),
        help="number of processes (one per core)")  # fmt: skip
    return parser


def _options(argv: Sequence[str] | None) -> CatalogueOptions:
    values = vars(_parser().parse_args(argv))
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
