"""The documents of what mongodump wrote: `.bson`, `.bson.gz`, and `--archive`, plain or gzip.

A `.bson` file is documents end to end. An archive holds several collections
(https://github.com/mongodb/mongo-tools/blob/master/common/archive/spec.md):

    mark 6d e2 99 81 | header | a document per collection | ff ff ff ff | segment*
    segment: {db, collection, EOF: false} | documents | ff ff ff ff
          or {db, collection, EOF: true} | ff ff ff ff, after a collection's last document

Everything is read from front to back, so memory holds one document.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import bson

from cdisc_tfds.bson_file import MIN_DOCUMENT_BYTES, BsonError, decode_document
from cdisc_tfds.catalogue.options import CatalogueError
from cdisc_tfds.file_kinds import HEAD_BYTES, kind_instead_of_bson

_GZIP_MARK = b"\x1f\x8b\x08"
_ARCHIVE_MARK = b"\x6d\xe2\x99\x81"
_TERMINATOR = -1
_LENGTH = struct.Struct("<i")
_BUFFER_BYTES = 1 << 20
# MongoDB allows 16 MiB; a length beyond this is damage, and must not become memory.
_MAX_BYTES = 1 << 28
# Collections that MongoDB keeps for itself.
_OWN_DATABASES = ("admin", "config", "local")


class RawDocument(NamedTuple):
    """A document's bytes, and where they start in the (unpacked) file."""

    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class DumpFile:
    """A dump that was recognised.

    Attributes:
      path: the file.
      is_gzip, is_archive: its kind.
      collection: the collection to read from an archive, "DB.NAME"; None for a `.bson` file.
    """

    path: str
    is_gzip: bool
    is_archive: bool
    collection: str | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], collection: str | None = None) -> DumpFile:
        """Recognises the file.

        Args:
          path: the file.
          collection: the collection to read from an archive; None if there is only one.

        Raises:
          CatalogueError: there is no such file or collection, or several and none is chosen.
          WrongKindError: the file is no dump.
          BsonError: an archive's start is damaged.
        """
        path = os.fspath(path)
        _require_file(path)
        dump = cls(path, _is_gzip(path), False)
        with dump._stream() as stream:
            head = stream.peek(HEAD_BYTES)
        if head.startswith(_ARCHIVE_MARK):
            dump = dataclasses.replace(dump, is_archive=True)
            return dataclasses.replace(dump, collection=dump._chosen(collection))
        if collection is not None:
            raise CatalogueError(
                f"--collection chooses from an archive. Received: {path}, which is not one."
            )
        looks_like_bson = len(head) >= 4 and _LENGTH.unpack(head[:4])[0] >= MIN_DOCUMENT_BYTES
        kind = kind_instead_of_bson(head)
        if kind and not (looks_like_bson and b"\0" in head[:64]):
            raise kind.error(path, "what mongodump writes: .bson, .bson.gz or an archive")
        return dump

    def documents(self) -> Iterator[RawDocument]:
        """Yields each document; only their lengths and last bytes are checked.

        Raises:
          BsonError: the file is damaged or cut short.
        """
        with self._stream() as stream:
            if self.is_archive:
                yield from self._of_archive(stream)
                return
            while (document := stream.document()) is not None:
                yield document

    @contextlib.contextmanager
    def _stream(self) -> Iterator[_Stream]:
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(open(self.path, "rb"))
            if self.is_gzip:
                unpacked = stack.enter_context(gzip.GzipFile(fileobj=opened))
                yield _Stream(self.path, unpacked)
            else:
                yield _Stream(self.path, opened)

    def _of_archive(self, stream: _Stream) -> Iterator[RawDocument]:
        _collections(stream)
        ended = False
        while (header := stream.document()) is not None:
            segment = stream.decoded(header)
            is_mine = _name_of(segment) == self.collection
            ended = ended or (is_mine and bool(segment.get("EOF")))
            while (document := stream.document(may_end=False)) is not None:
                if is_mine:
                    yield document
        if not ended:
            raise stream.error(f"the end of {self.collection}", "the end of the file (cut short?)")

    def _chosen(self, wanted: str | None) -> str:
        """The archive's collection to read."""
        with self._stream() as stream:
            names = _collections(stream)
        if wanted in names:
            return wanted
        users = [name for name in names if name.partition(".")[0] not in _OWN_DATABASES]
        users = [name for name in users if not name.partition(".")[2].startswith("system.")]
        if wanted is None and len(users) == 1:
            return users[0]
        received = "none" if wanted is None else wanted
        raise CatalogueError(
            f"--collection must be one of the collections of {self.path}: "
            f"{', '.join(users or names) or 'it holds none'}. Received: {received}."
        )


def _is_gzip(path: str) -> bool:
    """Whether the file is gzip. A first document of 559,903 bytes starts with the same mark."""
    with open(path, "rb") as file:
        mark = file.read(_LENGTH.size)
        if not mark.startswith(_GZIP_MARK):
            return False
        rest = file.read(max(_LENGTH.unpack(mark.ljust(_LENGTH.size, b"\0"))[0], 0) % _MAX_BYTES)
    try:
        decode_document(mark + rest[: -len(mark)])
        return False
    except bson.errors.InvalidBSON:
        return True


def _require_file(path: str) -> None:
    if os.path.isfile(path):
        return
    received = path
    if os.path.isdir(path):
        inside = sorted(pathlib.Path(path).rglob("*.bson*"))
        listed = ", ".join(str(file) for file in inside[:5] if ".json" not in file.name)
        received = f"{path}, a folder with {listed or 'no .bson file'}"
    raise CatalogueError(f"--dump must be a file that mongodump wrote. Received: {received}.")


def _name_of(header: dict[str, Any]) -> str:
    return f"{header.get('db')}.{header.get('collection')}"


def _collections(stream: _Stream) -> list[str]:
    """Reads an archive up to its first segment; returns its collections' names."""
    stream.read(len(_ARCHIVE_MARK))
    if stream.document(may_end=False) is None:
        raise stream.error("the archive's header", "its end")
    names = []
    while (about := stream.document(may_end=False)) is not None:
        names.append(_name_of(stream.decoded(about)))
    return names


class _Stream:
    """Documents from front to back.

    Attributes:
      offset: bytes read so far, unpacked.
    """

    def __init__(self, path: str, file: io.BufferedReader | gzip.GzipFile):
        self._path, self._file = path, file
        self._block, self._at = b"", 0
        self.offset = self._documents = 0

    def peek(self, num_bytes: int) -> bytes:
        """The first bytes, fewer at the end of the file; before anything is read."""
        while len(self._block) < num_bytes and (more := self._more()):
            self._block += more
        return self._block[:num_bytes]

    def read(self, num_bytes: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        data = self._block[self._at : self._at + num_bytes]
        self._at += len(data)
        if len(data) < num_bytes:
            data = b"".join((data, *self._following(num_bytes - len(data))))
        self.offset += len(data)
        return data

    def _following(self, num_bytes: int) -> Iterator[bytes]:
        """Yields the next bytes from new blocks."""
        while num_bytes and (block := self._more()):
            self._block, self._at = block, min(num_bytes, len(block))
            num_bytes -= self._at
            yield block[: self._at]

    def _more(self) -> bytes:
        """A new block; none at the end. What a damaged gzip file holds before the damage counts."""
        try:
            return self._file.read1(_BUFFER_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self.error("a whole gzip file", f"one that is not ({error})") from None

    def document(self, may_end: bool = True) -> RawDocument | None:
        """The next document; None at a terminator, and at the end of the file if it `may_end`."""
        offset = self.offset
        prefix = self.read(_LENGTH.size)
        if not prefix and may_end:
            return None
        if len(prefix) < _LENGTH.size:
            raise self.error("a document", "the end of the file (is it cut short?)", offset)
        (length,) = _LENGTH.unpack(prefix)
        if length == _TERMINATOR:
            return None
        if not MIN_DOCUMENT_BYTES <= length <= _MAX_BYTES:
            raise self.error(
                f"a length from {MIN_DOCUMENT_BYTES} to {_MAX_BYTES:,}", f"{length:,}", offset
            )
        data = prefix + self.read(length - _LENGTH.size)
        if len(data) < length or data[-1]:
            what = "the end of the file (is it cut short?)" if len(data) < length else "another"
            raise self.error(f"{length:,} bytes that end with a zero byte", what, offset)
        self._documents += 1
        return RawDocument(offset, data)

    def decoded(self, document: RawDocument) -> dict[str, Any]:
        try:
            return decode_document(document.data)
        except bson.errors.InvalidBSON as error:
            raise self.error("a BSON document", str(error), document.offset) from error

    def error(self, expected: str, received: str, offset: int | None = None) -> BsonError:
        place = self.offset if offset is None else offset
        return BsonError(self._path, place, self._documents, expected, received)
