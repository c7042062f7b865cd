"""A small built data set with all that the data's page shows: duplicates, rejections, odd names."""

from __future__ import annotations

import pathlib

import tensorflow_datasets as tfds

import cdisc_tfds
from tests.conftest import jpeg, write_bson

NAMES = """\
category_id,category_level1,category_level2,category_level3
7,"<b>A & ""B""</b>",x > y,日本語 😀
8,"<b>A & ""B""</b>",x > y,{0} {} %s
9,Z,z,</style><script>alert(1)</script>
10,Z,unused,' onerror='
"""
# By product: category, and the shades of its pictures; equal shades are equal files.
TRAIN = {1: (7, [0]), 2: (8, [0, 1]), 3: (7, [0, 0, 2]), 4: (9, [3]), 5: (9, [3]), 8: (7, [4])}
TEST = {11: [0], 12: [], 13: [5]}
LARGE = jpeg(6, (400, 300))  # of product 6, category 9


def build_odd_data(folder: pathlib.Path, *, test: bool = True, num_shards: int = 3) -> pathlib.Path:
    """Builds it below `folder`; returns the `data_dir`."""
    manual_dir = folder / "manual"
    manual_dir.mkdir()
    (manual_dir / "category_names.csv").write_text(NAMES, encoding="utf-8")
    documents = {
        number: {"_id": number, "imgs": _imgs(shades), "category_id": category}
        for number, (category, shades) in TRAIN.items()
    }
    documents[8]["imgs"].append({"picture": b"no JPEG"})
    documents[6] = {"_id": 6, "imgs": [{"picture": LARGE}], "category_id": 9}
    documents[20] = {"_id": 20, "imgs": _imgs([9]), "category_id": 12345}
    documents[21] = {"_id": 21, "imgs": _imgs([9]), "category_id": 123456}
    write_bson(manual_dir / "train.bson", list(documents.values()))
    if test:
        others = [{"_id": number, "imgs": _imgs(shades)} for number, shades in TEST.items()]
        write_bson(manual_dir / "test.bson", others)
    builder = cdisc_tfds.Builder(data_dir=folder / "data", train_only=not test, num_processes=1)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir, num_shards=num_shards)
    )
    return folder / "data"


def _imgs(shades: list[int]) -> list[dict[str, bytes]]:
    return [{"picture": jpeg(shade)} for shade in shades]
