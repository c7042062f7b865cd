"""Finds the competition's files in TFDS's manual directory, and reports the missing ones."""

from __future__ import annotations

import os
from typing import NamedTuple

from cdisc_tfds.split_files import has_files, split_files, told
from cdisc_tfds.storage import path_of

COMPETITION = "cdiscount-image-classification-challenge"
CATEGORIES = "category_names.csv"
EXAMPLE = "train_example.bson"

INSTRUCTIONS = f"""\
manual_dir must hold `train.bson`, `test.bson` and `{CATEGORIES}` of the Kaggle competition
https://www.kaggle.com/c/{COMPETITION} (accept its rules there first):

    kaggle competitions download -c {COMPETITION}

then unzip what it downloads. For a first look at real data `{EXAMPLE}` (0.6 MB) and `{CATEGORIES}`
are enough: without `train.bson` and `test.bson` the example's 82 products become the split `train`.
A split may also lie in several files, `train-*.bson`: they are read in the order of their numbers.
`.bson.gz` files are read as well; the build unpacks them into its own folder.
"""


class ManualFilesError(FileNotFoundError):
    """Input files of the data set are missing."""


class Source(NamedTuple):
    """The files of one split, in their order. A labelled one's products have a known category."""

    split: str
    paths: tuple[str, ...]
    labelled: bool

    def __str__(self) -> str:
        """The files, for a message."""
        return told(self.paths)


def find_sources(
    manual_dir: str | os.PathLike[str], train_only: bool = False
) -> tuple[str, list[Source]]:
    """The path of `category_names.csv` and each split's files; see `split_files`.

    Args:
      manual_dir: the folder.
      train_only: True to ignore the test split's files.

    Raises:
      ManualFilesError: files are missing; the message gives each full path and how to get the file.
      SplitFilesError: the files of a split do not belong together.
    """
    folder = path_of(manual_dir).absolute()
    example = folder / EXAMPLE
    if example.exists() and not has_files(folder, "train") and not has_files(folder, "test"):
        sources = [Source("train", (os.fspath(example),), labelled=True)]
    else:
        sources = [Source("train", split_files(folder, "train"), labelled=True)]
        if not train_only:
            sources.append(Source("test", split_files(folder, "test"), labelled=False))
    needed = [os.fspath(folder / CATEGORIES), *(path for one in sources for path in one.paths)]
    missing = [path for path in needed if not path_of(path).is_file()]
    if missing:
        advice = (
            ""
            if missing != [os.fspath(folder / "test.bson")]
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
