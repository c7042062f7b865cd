"""A shop's own files in small: photos, tables, folders, and what mongodump writes of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import bson
import numpy as np
from PIL import Image

from cdisc_tfds.catalogue.making import Summary, make_catalogue
from cdisc_tfds.catalogue.options import CatalogueOptions


def photo(number: int, size: tuple[int, int] = (24, 16), format: str = "JPEG") -> bytes:
    """A picture that differs from those of all other numbers."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def write_files(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    """Writes files by their paths in the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_csv(
    path: pathlib.Path,
    rows: Iterable[Sequence[object]],
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> pathlib.Path:
    """Writes rows, the first of which is the header."""
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def archive(collections: dict[str, list[dict[str, Any]]], segments: int = 2) -> bytes:
    """What `mongodump --archive` writes, the collections' segments in turns.

    Args:
      collections: documents by "DB.COLLECTION".
      segments: number of segments of each collection.
    """

    def header(name: str, **values: Any) -> bytes:
        database, _, collection = name.partition(".")
        return bson.encode({"db": database, "collection": collection, **values})

    end = b"\xff\xff\xff\xff"
    parts = [b"\x6d\xe2\x99\x81", bson.encode({"concurrent_collections": 4, "version": "0.1"})]
    parts += [header(name, metadata="{}", size=0) for name in collections]
    parts.append(end)
    for segment in range(segments):
        for name, documents in collections.items():
            mine = documents[segment::segments]
            if mine:
                parts += [header(name, EOF=False, CRC=0), *map(bson.encode, mine), end]
    for name in collections:
        parts += [header(name, EOF=True, CRC=7), end]
    return b"".join(parts)


def make(output_dir: pathlib.Path, **options: Any) -> Summary:
    """Makes a catalogue; paths may be `pathlib.Path`s."""
    values = {k: str(v) if isinstance(v, pathlib.Path) else v for k, v in options.items()}
    return make_catalogue(CatalogueOptions(output_dir=str(output_dir), **values))


def documents(path: pathlib.Path) -> dict[int, tuple[int | None, list[bytes]]]:
    """(category_id, pictures) of each product in a BSON file, by `_id`, in order."""
    return {
        document["_id"]: (
            document.get("category_id"),
            [entry["picture"] for entry in document["imgs"]],
        )
        for document in bson.decode_all(path.read_bytes())
    }


def table(path: pathlib.Path) -> list[list[str]]:
    """The rows of a CSV file, the header included."""
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def rejected(folder: pathlib.Path, name: str = "rejected.jsonl") -> list[dict[str, Any]]:
    """The lines of the list of rejected items."""
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def packed(data: bytes) -> bytes:
    return gzip.compress(data)
