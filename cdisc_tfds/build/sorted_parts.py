"""First half of the build: byte ranges of a `.bson` file become sorted tables, and maybe records.

The shuffle is a sort: a record's key is the MD5 of the split's name and the product's id (TFDS's
own rule), and the order of the split is the order of the keys. Each part of the BSON file is read
from front to back, encoded, and sorted. What follows needs a table of what the part holds, and
either nothing else (`reread_shards`), or its records in one sorted file (`merged_shards`).

Parts are independent: whoever makes them, in whatever order, they are the same. A part starts at
the first document that *seems* to start in its range; where the part before it ends proves it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from cdisc_tfds.build.arena import process_arena
from cdisc_tfds.bson_file import BsonError, find_document
from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.products import Rejection, read_products
from cdisc_tfds.records import encoder_of
from cdisc_tfds.tfrecord import OVERHEAD_BYTES, frame
from cdisc_tfds.whole_files import whole_file


@dataclasses.dataclass(frozen=True)
class PartTask:
    """What one process needs to know to make one part.

    Attributes:
      path: the `.bson` file.
      begin, end: its documents that start in [begin, end) belong to the part.
      split: name of the split; it salts the keys.
      labelled, keep_going: as for `read_products`.
      categories_csv: path of category_names.csv.
      records: path of the file of records to write; None if they are not needed.
      table: path of the table to write; the part is finished when it is there.
      start: offset of the first document where that is known, else None.
      limit: at most so many products.
    """

    path: str
    begin: int
    end: int
    split: str
    labelled: bool
    keep_going: bool
    categories_csv: str
    records: str | None
    table: str
    start: int | None = None
    limit: int | None = None


@dataclasses.dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
      start: offset of its first document, as far as it could tell.
      landing: offset behind its last document, where the next part must start.
      documents: how many documents it has, rejected ones included.
      products: how many records it has.
      damage: the error at which it stopped, if it did; it has no files then.
    """

    start: int
    landing: int
    documents: int
    products: int
    damage: BsonError | None = None


# The columns of a part's table, one row a record in key order. `key` is 16 bytes as two big-endian
# integers; `size` counts the framed record; `document` and `offset` are of the source.
COLUMNS = {
    "key_high": np.uint64,
    "key_low": np.uint64,
    "size": np.int64,
    "product_id": np.int64,
    "num_pictures": np.uint8,
    "category": np.int32,
    "document": np.int64,
    "offset": np.int64,
}


def make_part(task: PartTask) -> Part:
    """Reads, encodes, sorts and writes one part. Raises OSError if its files cannot be written."""
    start = find_document(task.path, task.begin) if task.start is None else task.start
    encoder = encoder_of(task.categories_csv)
    salt = hashlib.md5(task.split.encode())
    arena = process_arena()
    arena.clear()
    framed: list[memoryview] = []
    keys: list[bytes] = []
    rows: list[tuple[int, ...]] = []
    rejections: list[Rejection] = []
    landing = [start, 0]

    def on_landing(offset: int, documents: int) -> None:
        landing[:] = offset, documents

    products = read_products(
        task.path,
        encoder.categories,
        task.labelled,
        rejections.append,
        start=start,
        stop=task.end,
        keep_going=task.keep_going,
        on_landing=on_landing,
    )
    try:
        for document, offset, product in products:
            pieces = encoder.pieces(product)
            if task.records:
                framed.append(arena.keep(*frame(pieces)))
            key = salt.copy()
            key.update(b"%d" % product.product_id)
            keys.append(key.digest())
            rows.append(
                (
                    sum(map(len, pieces)) + OVERHEAD_BYTES,
                    product.product_id,
                    len(product.images),
                    product.category,
                    document,
                    offset,
                )
            )
            if len(rows) == task.limit:
                break
    except BsonError as damage:
        return Part(start, damage.offset, damage.index or 0, 0, damage)
    part = Part(start, *landing, len(rows))
    _write(task, part, framed, keys, rows, rejections)
    return part


def _write(
    task: PartTask,
    part: Part,
    framed: list[memoryview],
    keys: list[bytes],
    rows: list[tuple[int, ...]],
    rejections: list[Rejection],
) -> None:
    """The records in key order, then the table: its presence means that the part is finished."""
    key = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2).astype(np.uint64)
    order = np.lexsort((key[:, 1], key[:, 0]))  # stable: of duplicates the earlier comes first
    columns = [key[:, 0], key[:, 1], *np.array(rows, np.int64).reshape(-1, len(COLUMNS) - 2).T]
    table = {
        name: column[order].astype(dtype) for (name, dtype), column in zip(COLUMNS.items(), columns)
    }
    if task.records:
        with whole_file(task.records) as file:
            write_pieces(file, map(framed.__getitem__, order.tolist()))
    about = {
        "start": part.start,
        "landing": part.landing,
        "documents": part.documents,
        "rejections": [dataclasses.astuple(rejection) for rejection in rejections],
    }
    with whole_file(task.table) as file:
        np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **table)


def finished_part(task: PartTask) -> Part | None:
    """The part that an earlier, interrupted build made for this task, if there is one."""
    try:
        with open(task.table, "rb") as file, np.load(file) as table:
            about = json.loads(table["about"].tobytes())
            products = len(table["product_id"])
    except FileNotFoundError:
        return None
    if task.start not in (None, about["start"]):
        return None
    return Part(about["start"], about["landing"], about["documents"], products)


def read_columns(tables: list[str], name: str) -> np.ndarray:
    """One column of several parts' tables, end to end."""
    columns = []
    for path in tables:
        with open(path, "rb") as file, np.load(file) as table:
            columns.append(table[name])
    return np.concatenate(columns)


def read_rejections(table: str) -> list[Rejection]:
    """What a part left out; `document` counts from the part's start."""
    with open(table, "rb") as file, np.load(file) as columns:
        about = json.loads(columns["about"].tobytes())
    return [Rejection(*values) for values in about["rejections"]]
