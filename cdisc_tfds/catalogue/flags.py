"""The command's flags."""

from __future__ import annotations

import argparse
import csv
from typing import Any, NamedTuple

from cdisc_tfds.catalogue.fitted_picture import DEFAULT_MAX_SIZE
from cdisc_tfds.catalogue.options import PRODUCT_RULES, SPLITS
from cdisc_tfds.machine import num_cores

_DESCRIPTION = """\
Makes train.bson, test.bson and category_names.csv from the products of a shop: from a table and
picture files (--csv), a folder per category (--folders), or what mongodump wrote (--dump).
Pictures become JPEGs of at most --max_size a side; JPEGs that fit stay byte for byte.
Then: tfds build cdiscount --manual_dir=DIR
"""


class _Flag(NamedTuple):
    """A flag, what its value is, its help, and what else `add_argument` gets."""

    name: str
    value: str | None
    help: str
    options: dict[str, Any] = {}


def _names(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that has one is written in quotes."""
    return tuple(name.strip() for row in csv.reader([text]) for name in row if name.strip())


def _delimiter(text: str) -> str:
    """One character; `\\t` and `tab` are a tab."""
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise argparse.ArgumentTypeError(f"must be one character. Received: {text!r}")
    return delimiter


_LIST = {"type": _names, "default": ()}
_ON = {"action": "store_true"}
_GROUPS = {
    "where the products are (one of them)": (
        _Flag("csv", "FILE", "a table with a row per product, or per picture of a product"),
        _Flag("folders", "FOLDER", "a folder with a folder per category; nested ones are levels"),
        _Flag("dump", "FILE", "what mongodump wrote: .bson, .bson.gz, an archive, plain or gzip"),
    ),
    "tables and dumps (default: columns with usual names, the competition's fields)": (
        _Flag("images", "FOLDER", "folder of the picture files (default: the table's folder)"),
        _Flag(
            "id",
            "NAME",
            "column or field of the product's id; row: number the rows",
            {"dest": "product_id"},
        ),
        _Flag("category", "NAMES", "that of the category's path, or LEVEL1,LEVEL2,...", _LIST),
        _Flag("category_id", "NAME", "that of the category's own id; not needed"),
        _Flag("pictures", "NAMES", "those of pictures, such as photo1,photo2", _LIST),
        _Flag("category_separator", "TEXT", "between the levels of a path (>)", {"default": ">"}),
        _Flag("picture_separator", "TEXT", "between several files in a cell (| or ; or a comma)"),
        _Flag("delimiter", "CHARACTER", "between the cells (found out)", {"type": _delimiter}),
        _Flag("collection", "DB.NAME", "collection to read from an archive (its only one)"),
    ),
    "folders": (
        _Flag(
            "product",
            None,
            "what a product is: each file (default), files whose names differ in a number at the "
            "end (12_1.jpg, 12_2.jpg), or the innermost folder",
            {"choices": PRODUCT_RULES, "default": "file"},
        ),
    ),
    "what to write": (
        _Flag(
            "split",
            None,
            "train: products with a category only; test: all, to be predicted (default: those "
            "with a category are train, the others test)",
            {"choices": SPLITS},
        ),
        _Flag(
            "test_share",
            "SHARE",
            "share of the products with a category to set aside as test.bson, with solution.csv "
            "(0)",
            {"type": float, "default": 0.0},
        ),
        _Flag(
            "category_names",
            "FILE",
            "use exactly the categories of this file, in the format of category_names.csv",
        ),
        _Flag(
            "max_size",
            "PIXELS",
            f"longest side of a picture ({DEFAULT_MAX_SIZE})",
            {"type": int, "default": DEFAULT_MAX_SIZE},
        ),
        _Flag(
            "keep_going",
            None,
            "use what can be used, even if it is less than half; of a damaged dump, what is before "
            "the damage",
            _ON,
        ),
        _Flag("overwrite", None, "replace what an earlier run wrote", _ON),
        _Flag(
            "processes",
            "NUMBER",
            "number of processes (one per core)",
            {"dest": "num_processes", "type": int, "default": num_cores()},
        ),
    ),
}


def parser() -> argparse.ArgumentParser:
    """Parses the flags into the fields of `CatalogueOptions`."""
    made = argparse.ArgumentParser(
        prog="python -m cdisc_tfds.catalogue",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--output_dir", metavar="DIR", required=True, help="folder for the files")
    for title, flags in _GROUPS.items():
        group = made.add_argument_group(title)
        for flag in flags:
            options = (
                flag.options if flag.value is None else {"metavar": flag.value, **flag.options}
            )
            group.add_argument(f"--{flag.name}", help=flag.help, **options)
    return made
