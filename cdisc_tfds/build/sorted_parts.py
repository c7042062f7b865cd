"""First half of the build: turns byte ranges of `.bson` files into sorted tables, maybe records.

The shuffle is a sort: a record's key is the MD5 of the split's name and the product's id (TFDS's
own rule), and the split's order is the order of the keys. The build reads each part of the BSON
files from front to back, encodes it, and sorts it. The second half needs a table of the part's
contents and, for `merged_shards` (not `reread_shards`), its records in one sorted file.

Parts are independent: they are the same in whichever process and order they are made. A part starts
at the first document that *seems* to start in its range; the end of the previous part proves it.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import xxhash

from cdisc_tfds.bson_file import BsonError, find_document
from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.build.part_table import COLUMNS, Part, read_part, write_table
from cdisc_tfds.joined_files import JoinedFiles
from cdisc_tfds.products import Rejection, read_products
from cdisc_tfds.records import encoder_of
from cdisc_tfds.tfrecord import OVERHEAD_BYTES, frame
from cdisc_tfds.whole_files import whole_file


@dataclasses.dataclass(frozen=True)
class PartTask:
    """The inputs and outputs of one part.

    Attributes:
      files: the `.bson` files that the part reads.
      begin, end: the part contains the documents that start in [begin, end).
      split: name of the split; it salts the keys.
      labelled, keep_going: as for `read_products`.
      categories_csv: path of category_names.csv.
      records: path of the file of records to write; None if they are not needed.
      table: path of the table to write; the part is finished when the table exists.
      start: offset of the first document if known, else None.
      limit: maximum number of products, or None.
    """

    files: JoinedFiles
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


class _Rows:
    """The records of a part in file order."""

    def __init__(self) -> None:
        self.framed: list[bytes] = []
        self.keys: list[bytes] = []  # 16 bytes of key, 8 of content
        self.values: list[tuple[int, ...]] = []  # the other columns
        self.rejections: list[Rejection] = []
        self.landing: int | None = None
        self.documents = 0

    def on_landing(self, landing: int | None, documents: int) -> None:
        self.landing, self.documents = landing, documents

    def sorted_columns(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(int64 rows in key order, the table's columns in that order)."""
        keys = np.frombuffer(b"".join(self.keys), ">u8").reshape(-1, 3).astype(np.uint64)
        # Stable: the earlier of two duplicates comes first.
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        columns = [*keys.T, *np.array(self.values, np.int64).reshape(-1, len(COLUMNS) - 3).T]
        return order, {
            name: column[order].astype(dtype)
            for (name, dtype), column in zip(COLUMNS.items(), columns)
        }


def make_part(task: PartTask) -> Part:
    """Reads, encodes, sorts and writes one part. Raises OSError if it cannot write its files."""
    start = task.start
    if start is None:
        start = find_document(task.files, task.begin, task.end)
    rows = _Rows()
    if start is not None:
        rows.landing = start
        try:
            _read(task, start, rows)
        except BsonError as damage:
            return Part(start, damage.offset, damage.index or 0, 0, damage)
    order, columns = rows.sorted_columns()
    if task.records:
        with whole_file(task.records) as file:
            write_pieces(file, map(rows.framed.__getitem__, order.tolist()))
    part = Part(start, rows.landing, rows.documents, len(order))
    write_table(task.table, part, columns, rows.rejections)
    return part


def _read(task: PartTask, start: int, rows: _Rows) -> None:
    """Fills the rows."""
    encoder = encoder_of(task.categories_csv)
    salt = hashlib.md5(task.split.encode())
    products = read_products(
        task.files,
        encoder.categories,
        task.labelled,
        rows.rejections.append,
        start=start,
        stop=task.end,
        keep_going=task.keep_going,
        on_landing=rows.on_landing,
    )
    for document, offset, product in products:
        pieces = encoder.pieces(product)
        if task.records:
            rows.framed.append(b"".join(frame(pieces)))
        key = salt.copy()
        key.update(b"%d" % product.product_id)
        rows.keys.append(key.digest() + content_of(pieces))
        rows.values.append(
            (
                sum(map(len, pieces)) + OVERHEAD_BYTES,
                product.product_id,
                len(product.images),
                product.category,
                document,
                offset,
            )
        )
        if len(rows.values) == task.limit:
            rows.documents = document + 1
            break


def content_of(pieces: list[bytes]) -> bytes:
    """A hash (8 bytes, big-endian) of a record's contents, given its encoded pieces.

    The first piece already contains the hashes of the pictures, so hashing it alone is enough.
    """
    return xxhash.xxh3_64_digest(pieces[0])


def finished_part(task: PartTask) -> Part | None:
    """The part that an earlier, interrupted build made for this task, or None."""
    part = read_part(task.table)
    return part if part is not None and task.start in (None, part.start) else None
