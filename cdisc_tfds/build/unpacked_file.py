"""Unpacks `.bson.gz` files into the build's folder.

The parallel build reads ranges of a file, which gzip does not allow: to read its end, one has to
unpack all of it. So the build unpacks each file once, then goes on as usual. An interrupted build
keeps what it has unpacked to the end; a file half unpacked is begun again.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import pathlib
import zlib
from typing import Any

import bson
from tensorflow_datasets.core.utils import tqdm_utils

from cdisc_tfds.bson_file import MAX_PLAUSIBLE_BYTES, decode_document
from cdisc_tfds.build.source_file import SourceFile
from cdisc_tfds.file_kinds import HEAD_BYTES, kind_instead_of_bson
from cdisc_tfds.split_files import PACKED
from cdisc_tfds.whole_files import whole_file, write_json

FOLDER = "unpacked"
_BLOCK_BYTES = 4 << 20
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


class PackedFileError(ValueError):
    """A `.gz` file that is not whole, or no gzip file."""


def is_packed(path: str) -> bool:
    return path.endswith(PACKED)


def require_packed_bson(path: str | os.PathLike[str]) -> None:
    """Checks the first document of a `.bson.gz` file.

    Raises:
      PackedFileError: it is no gzip file, or ends within the document.
      WrongKindError: it holds a file of another kind. Damage is left to the build.
    """
    if not os.path.getsize(path):
        raise _damaged(path, EOFError("it is empty"))
    try:
        with gzip.open(path) as file:
            head = file.read(HEAD_BYTES)
            length = int.from_bytes(head[:4], "little", signed=True)
            document = head + file.read(max(min(length, MAX_PLAUSIBLE_BYTES) - len(head), 0))
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    try:
        decode_document(document[: max(length, 0)])
    except bson.errors.InvalidBSON:
        if kind := kind_instead_of_bson(head):
            raise kind.error(path, "a gzip file of BSON documents") from None


def estimated_bytes(path: str | os.PathLike[str]) -> int:
    """About how large the file is when it is unpacked.

    A gzip file ends with that size modulo 4 GiB (RFC 1952). Photos shrink by little, so the true
    size is taken to be the first one above the packed size.
    """
    packed = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(packed - 4, 0))
        size = int.from_bytes(file.read(4), "little")
    return size + max(0, -(-(packed - size) // (1 << 32))) * (1 << 32)


def unpacked(file: SourceFile, folder: pathlib.Path) -> str:
    """Path of the unpacked file: by this build, or by an earlier one from the same file.

    Args:
      file: the identity of the `.gz` file.
      folder: the build's folder.

    Raises:
      PackedFileError: the file is damaged.
      ChangedFileError: the file changes meanwhile.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    target = folder / FOLDER / os.path.basename(file.path).removesuffix(PACKED)
    about = target.with_name(target.name + ".json")
    origin = dataclasses.asdict(file)
    if not _is_finished(target, about, origin):
        with file.unchanged():
            _unpack(file.path, target)
        write_json(about, {"file": origin, "bytes": target.stat().st_size})
    return os.fspath(target)


def _is_finished(target: pathlib.Path, about: pathlib.Path, origin: dict[str, Any]) -> bool:
    try:
        known = json.loads(about.read_bytes())
        return bool(known == {"file": origin, "bytes": target.stat().st_size})
    except (FileNotFoundError, ValueError):
        return False


def _unpack(path: str, target: pathlib.Path) -> None:
    total = os.path.getsize(path)
    name = os.path.basename(path)
    with (
        open(path, "rb") as packed,
        gzip.GzipFile(fileobj=packed) as blocks,
        whole_file(target) as file,
        tqdm_utils.tqdm(
            total=total, desc=f"unpacking {name}", unit="B", unit_scale=True, leave=False,
            mininterval=1,
        ) as bar,
    ):  # fmt: skip
        done = 0
        try:
            while block := blocks.read(_BLOCK_BYTES):
                file.write(block)
                bar.update(packed.tell() - done)
                done = packed.tell()
        except _DAMAGE as error:
            raise _damaged(path, error) from None


def _damaged(path: str | os.PathLike[str], error: Exception) -> PackedFileError:
    return PackedFileError(
        f"{os.fspath(path)} must be a whole gzip file. Received: one that is not ({error}). "
        "Download or pack it again."
    )
