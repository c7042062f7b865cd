"""The table of a part: its contents in key order. A part with a table is finished."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from typing import Any

import numpy as np

from cdisc_tfds.bson_file import BsonError
from cdisc_tfds.products import Rejection
from cdisc_tfds.whole_files import whole_file

# One row per record. `key` is 16 bytes as two big-endian integers; `content` is a hash of the
# record's contents; `size` is that of the framed record; `document` counts from the part's start;
# `offset` is the start of the document in its file.
COLUMNS = {
    "key_high": np.uint64,
    "key_low": np.uint64,
    "content": np.uint64,
    "size": np.int64,
    "product_id": np.int64,
    "num_pictures": np.uint8,
    "category": np.int32,
    "document": np.int64,
    "offset": np.int64,
}


@dataclasses.dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
      start: offset of its first document, as far as the part can tell; None without one.
      landing: offset after its last document, where the next part must start; None if the part ends
        in damage: the next part then starts at any document that it finds.
      documents: number of documents, including rejected ones.
      products: number of records.
      damage: the error that stopped the part, or None. A stopped part has no files.
    """

    start: int | None
    landing: int | None
    documents: int
    products: int
    damage: BsonError | None = None


def write_table(
    path: str, part: Part, columns: dict[str, np.ndarray], rejections: list[Rejection]
) -> None:
    """Writes a part's table atomically."""
    about = {
        "start": part.start,
        "landing": part.landing,
        "documents": part.documents,
        "rejections": [dataclasses.astuple(rejection) for rejection in rejections],
    }
    about_bytes = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays: dict[str, Any] = {"about": about_bytes, **columns}
    with whole_file(path) as file:
        np.savez(file, **arrays)


def read_part(path: str) -> Part | None:
    """The part with this table; None if the table is missing or not fully readable."""
    try:
        with open(path, "rb") as file, np.load(file) as table:
            about = json.loads(table["about"].tobytes())
            lengths = {len(table[name]) for name in COLUMNS}  # reading a column verifies its bytes
        (products,) = lengths
        return Part(about["start"], about["landing"], about["documents"], products)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def read_columns(tables: list[str], name: str) -> np.ndarray:
    """One column of several parts' tables, end to end."""
    columns = []
    for path in tables:
        with open(path, "rb") as file, np.load(file) as table:
            columns.append(table[name])
    return np.concatenate(columns)


def read_rejections(table: str) -> list[Rejection]:
    """The items that a part rejected; `document` counts from the part's start."""
    with open(table, "rb") as file, np.load(file) as columns:
        about = json.loads(columns["about"].tobytes())
    return [Rejection(*values) for values in about["rejections"]]
