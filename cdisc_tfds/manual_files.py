"""Finds the competition's files in TFDS's manual directory, and reports the missing ones."""

from __future__ import annotations

import os
import pathlib
from typing import NamedTuple

from cdisc_tfds.storage import path_of

COMPETITION = "cdiscount-image-classification-challenge"
CATEGORIES = "category_names.csv"
EXAMPLE = "train_example.bson"
PACKED = ".gz"  # `train.bson.gz` stands for `train.bson`

INSTRUCTIONS = f"""\
manual_dir must hold `train.bson`, `test.bson` and `{CATEGORIES}` of the Kaggle competition
https://www.kaggle.com/c/{COMPETITION} (accept its rules there first):

    kaggle competitions download -c {COMPETITION}

then unzip what it downloads. For a first look at real data `{EXAMPLE}` (0.6 MB) and `{CATEGORIES}`
are enough: without `train.bson` and `test.bson` the example's 82 products become the split `train`.
`train.bson.gz` and `test.bson.gz` are read as well; the build unpacks them into its own folder.
"""


class ManualFilesError(FileNotFoundError):
    """Input files of the data set are missing."""


class Source(NamedTuple):
    """The file of one split. Products of a labelled split must have a known category."""

    split: str
    path: str
    labelled: bool


def find_sources(
    manual_dir: str | os.PathLike[str], train_only: bool = False
) -> tuple[str, list[Source]]:
    """The path of `category_names.csv` and each split's file: plain, else packed.

    Args:
      manual_dir: the folder.
      train_only: True to ignore `test.bson`.

    Raises:
      ManualFilesError: files are missing; the message gives each full path and how to get the file.
    """
    folder = path_of(manual_dir).absolute()
    train, test = _there(folder / "train.bson"), _there(folder / "test.bson")
    example = not train.exists() and not test.exists() and (folder / EXAMPLE).exists()
    if example:
        sources = [Source("train", os.fspath(folder / EXAMPLE), labelled=True)]
    else:
        sources = [Source("train", os.fspath(train), labelled=True)]
        if not train_only:
            sources.append(Source("test", os.fspath(test), labelled=False))
    needed = [os.fspath(folder / CATEGORIES), *(source.path for source in sources)]
    missing = [path for path in needed if not path_of(path).is_file()]
    if missing:
        advice = (
            ""
            if missing != [os.fspath(test)]
            else "\nIf there is no test split, set "
            "CDISCOUNT_TRAIN_ONLY=1 (in Python: tfds.builder('cdiscount', train_only=True))."
        )
        raise ManualFilesError(
            "The data set is made from files that you download yourself. Missing:\n"
            + "".join(f"    {path}\n" for path in missing)
            + INSTRUCTIONS
            + "Then give their folder as --manual_dir (in Python: "
            "tfds.download.DownloadConfig(manual_dir=...))." + advice
        )
    return needed[0], sources


def _there(path: pathlib.Path) -> pathlib.Path:
    """The file, or its packed form if only that exists."""
    packed = path.with_name(path.name + PACKED)
    return packed if packed.exists() and not path.exists() else path
