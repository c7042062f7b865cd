"""Reads a `.bson` file as `mongodump` writes it: documents end to end, each with its byte offset.

A document starts with its own length in bytes (int32, little-endian, itself included) and ends with
a NUL byte, so a reader can walk a file without parsing it:

    | length: int32 | elements: (type byte, name, NUL, value)* | 0x00 | length: int32 | ...

This module does not need TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import bson
import numpy as np
from bson import codec_options

from cdisc_tfds.file_kinds import HEAD_BYTES, kind_instead_of_bson
from cdisc_tfds.joined_files import JoinedFiles, JoinedReader

# A document's length and its closing NUL byte: the empty document.
MIN_DOCUMENT_BYTES = 5
# MongoDB's own limit (16 MiB, plus 16 KiB that the server adds). The reader accepts longer
# documents when it follows the chain of lengths, but not when it searches for a document's start.
MAX_PLAUSIBLE_BYTES = (16 << 20) + (16 << 10)
# A start is credible when this many whole product documents follow in sequence (or fewer, if they
# reach the file's last byte): bytes in a picture may look like one document, but not like several.
DOCUMENTS_TO_BELIEVE = 2

_WINDOW_BYTES = 1 << 16  # per search step
_LENGTH = struct.Struct("<i")
# The valid values of an element's first byte, its type.
_IS_ELEMENT_TYPE = np.isin(np.arange(256), [*range(0x01, 0x14), 0x7F, 0xFF])
# Fields that this project does not use must not stop a build, so we tolerate odd text and dates.
_CODEC_OPTIONS: codec_options.CodecOptions[dict[str, Any]] = codec_options.CodecOptions(
    unicode_decode_error_handler="replace",
    datetime_conversion=codec_options.DatetimeConversion.DATETIME_AUTO,
)


class BsonError(ValueError):
    """The bytes where a document must start are not a valid document.

    Attributes:
      path: the file.
      offset: byte at which the document starts.
      index: number of documents before it in the file; None if the reader did not count them.
      expected: the rule that the bytes break.
      received: what the file holds instead.
    """

    def __init__(self, path: str, offset: int, index: int | None, expected: str, received: str):
        self.path, self.offset, self.index = path, offset, index
        self.expected, self.received = expected, received
        document = "a document" if index is None else f"document {index}"
        super().__init__(
            f"{path}: {document} at byte {offset} is damaged. Expected: {expected}. "
            f"Received: {received}."
        )

    def __reduce__(
        self,
    ) -> tuple[type[BsonError], tuple[Any, ...]]:  # so that it survives pickling
        return BsonError, (self.path, self.offset, self.index, self.expected, self.received)

    def counted_from(self, documents_before: int) -> BsonError:
        """This error, as raised by a reader that started `documents_before` documents earlier."""
        index = None if self.index is None else self.index + documents_before
        return BsonError(self.path, self.offset, index, self.expected, self.received)


def decode_document(data: bytes | memoryview) -> dict[str, Any]:
    """Decodes one document; raises `bson.errors.InvalidBSON` if it is damaged."""
    return bson.decode(data, _CODEC_OPTIONS)


class _File(JoinedReader):
    """The documents of one file, or of several end to end, by offset."""

    def __init__(self, path: str | os.PathLike[str] | JoinedFiles):
        super().__init__(path if isinstance(path, JoinedFiles) else JoinedFiles.one(path))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def error(self, offset: int, index: int | None, expected: str, received: str) -> BsonError:
        """Names the file and the byte in it; counts documents in the first file alone."""
        file = self.files.at(offset)
        return BsonError(
            file.path, offset - file.begin, None if file.begin else index, expected, received
        )

    def document(self, offset: int, index: int | None) -> memoryview:
        """The bytes of the document at `offset`; checks only its length and closing byte."""
        begin = offset - self._start
        if 0 <= begin <= len(self._block) - _LENGTH.size:
            behind = begin + _LENGTH.unpack_from(self._block, begin)[0]
            whole = begin + MIN_DOCUMENT_BYTES <= behind <= len(self._block)
            if whole and not self._block[behind - 1]:  # the usual case: it is in the buffer
                return self._block[begin:behind]
        left = self.files.at(offset).end - offset
        if left < MIN_DOCUMENT_BYTES:
            raise self.error(
                offset,
                index,
                f"a document of at least {MIN_DOCUMENT_BYTES} bytes",
                f"the file's last {left} bytes (is the file truncated?)",
            )
        (length,) = _LENGTH.unpack(self.read(offset, _LENGTH.size))
        if not MIN_DOCUMENT_BYTES <= length <= left:
            raise self.error(
                offset,
                index,
                f"a length from {MIN_DOCUMENT_BYTES} to the {left} bytes that are left of the file",
                f"a length of {length}" + (" (is the file truncated?)" if length > left else ""),
            )
        data = self.read(offset, length)
        if data[-1]:
            raise self.error(
                offset,
                index,
                f"a zero byte at the end of the document's {length} bytes",
                f"the byte 0x{data[-1]:02x}",
            )
        return data

    def decoded(self, offset: int, index: int | None) -> tuple[dict[str, Any], int]:
        """The document at `offset`, and the offset just after it.

        Raises:
          BsonError: the document is damaged.
          WrongKindError: the file starts like another kind of file, not with a document.
        """
        try:
            return self._decoded(offset, index)
        except BsonError as error:
            file = self.files.at(offset)
            if offset == file.begin:
                head = self._pread(offset, min(HEAD_BYTES, file.end - file.begin))
                if kind := kind_instead_of_bson(bytes(head)):
                    raise kind.error(file.path, "a file of BSON documents") from error
            raise

    def _decoded(self, offset: int, index: int | None) -> tuple[dict[str, Any], int]:
        data = self.document(offset, index)
        try:
            return decode_document(data), offset + len(data)
        except bson.errors.InvalidBSON as error:
            raise self.error(
                offset,
                index,
                f"the fields of a BSON document in its {len(data)} bytes",
                f"bytes that do not parse ({error})",
            ) from error

    def is_start(self, offset: int) -> bool:
        """Whether a sequence of product documents starts at `offset`."""
        return self._lengths_lead_on(offset) and self._products_follow(
            offset, DOCUMENTS_TO_BELIEVE, self.files.at(offset).end
        )

    def _lengths_lead_on(self, offset: int) -> bool:
        """The cheap check: it reads a few bytes of each document, so a false start costs little."""
        end = self.files.at(offset).end
        for _ in range(DOCUMENTS_TO_BELIEVE):
            left = end - offset
            if left < MIN_DOCUMENT_BYTES:
                return left == 0
            (length,) = _LENGTH.unpack(self._pread(offset, _LENGTH.size))
            if not MIN_DOCUMENT_BYTES <= length <= min(left, MAX_PLAUSIBLE_BYTES):
                return False
            if self._pread(offset + length - 1, 1) != b"\0":
                return False
            offset += length
        return True

    def _products_follow(self, offset: int, number: int, end: int) -> bool:
        """Whether so many products start at `offset`, or fewer up to `end`, that of the file."""
        for _ in range(number):
            if offset == end:
                return True
            try:
                document, offset = self.decoded(offset, None)
            except BsonError:
                return False
            if "_id" not in document or "imgs" not in document:
                return False
        return True

    def behind_damage(self, offset: int, stop: int) -> int | None:
        """The offset at which reading can continue after the damaged document at `offset`; None if
        a search finds no such offset before `stop`. The next file's start is such an offset."""
        end = self.files.at(offset).end
        try:
            behind = offset + len(self.document(offset, None))
        except BsonError:
            return self._find_start(offset + 1, stop, end)
        # Its length is credible, so a single document at that distance is proof enough.
        if self._products_follow(behind, 1, end):
            return behind
        return self._find_start(offset + 1, stop, end)

    def find_start(self, offset: int, stop: int) -> int | None:
        """The first credible start of a document in [offset, stop), or the next file's start.

        Without one: the files' size if `stop` is the size, else None.
        """
        return self._find_start(offset, stop, self.files.at(offset).end)

    def _find_start(self, offset: int, stop: int, end: int) -> int | None:
        """As `find_start`, in the file that ends at `end`."""
        here = min(stop, end)
        while offset < here and offset + MIN_DOCUMENT_BYTES <= end:
            # A copy, because checking a candidate overwrites the file's own buffer.
            last = min(here + MIN_DOCUMENT_BYTES - 1, end)
            window = self._pread(offset, min(_WINDOW_BYTES, last - offset))
            begin: int
            for begin in _plausible_starts(np.frombuffer(window, np.uint8)).tolist():
                if self.is_start(offset + begin):
                    return offset + begin
            offset += len(window) - MIN_DOCUMENT_BYTES + 1
        return end if stop >= end else None


def _plausible_starts(window: np.ndarray) -> np.ndarray:
    """Positions in `window` (uint8) with a possible length followed by a possible element type."""
    length = sum(window[i : len(window) - 4 + i].astype(np.int64) << (8 * i) for i in range(4))
    possible = (length >= MIN_DOCUMENT_BYTES) & (length <= MAX_PLAUSIBLE_BYTES)
    return np.flatnonzero(possible & _IS_ELEMENT_TYPE[window[4:]])


def read_documents(
    path: str | os.PathLike[str] | JoinedFiles,
    start: int = 0,
    stop: int | None = None,
    on_damage: Callable[[BsonError, int | None], None] | None = None,
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yields (offset, end offset, document) for each document that starts before `stop`.

    Args:
      path: the file, or several: offsets then count over all of them, errors name file and byte.
      start: offset of a document.
      stop: reading ends before the first document that starts here or later; None reads the whole
        file.
      on_damage: None raises the BsonError of a damaged document. Otherwise, it receives the error
        and the offset at which whole documents continue, and reading continues there. The offset
        is the file's size if no documents follow, and None if no document starts before a `stop`
        within the file: reading then ends.

    Raises:
      BsonError: a document is damaged; the error's index counts from `start`.
      WrongKindError: the file is of another kind.
    """
    with _File(path) as file:
        stop = file.size if stop is None else min(stop, file.size)
        offset, index = start, 0
        while offset < stop:
            try:
                document, behind = file.decoded(offset, index)
            except BsonError as error:
                if on_damage is None:
                    raise
                found = file.behind_damage(offset, stop)
                on_damage(error, found)
                if found is None:
                    return
                behind = found
            else:
                yield offset, behind, document
            offset = behind
            index += 1


def read_documents_at(
    path: str | os.PathLike[str] | JoinedFiles, offsets: Iterable[int], sizes: Iterable[int]
) -> Iterator[dict[str, Any]]:
    """Yields the document at each of `offsets`; `sizes` are estimates of their bytes.

    Raises:
      BsonError: a document is damaged.
    """
    with _File(path) as file:
        for offset, file.block_bytes in zip(offsets, sizes):
            yield file.decoded(offset, None)[0]


def find_document(
    path: str | os.PathLike[str] | JoinedFiles, offset: int, stop: int | None = None
) -> int | None:
    """Offset of the first document that seems to start in [offset, stop).

    This is a guess, because the bytes of a crafted picture can look like documents. It is proven
    only when reading the preceding documents ends exactly there.

    Args:
      path: the file, or several, as for `read_documents`.
      offset: where the search begins.
      stop: where it ends; None for the end of all.

    Returns:
      The offset; without a document in the file, that of the next file, or after the last the size
      of all. None if that is not before `stop`, unless `stop` is the size of all.
    """
    with _File(path) as file:
        return file.find_start(offset, file.size if stop is None else min(stop, file.size))


def require_bson(path: str | os.PathLike[str]) -> None:
    """Raises WrongKindError for a file of another kind; ignores damage."""
    with _File(path) as file, contextlib.suppress(BsonError):
        file.decoded(0, 0)


def check_ends(path: str | os.PathLike[str], window: int = 4 << 20) -> None:
    """Raises BsonError if the first document or the last `window` bytes are damaged.

    It takes milliseconds and detects the most common damage to a large file: a broken download.
    """
    with _File(path) as file:
        if file.size == 0:
            raise file.error(0, 0, "at least one document", "an empty file")
        file.decoded(0, 0)
        if file.size <= window:
            return  # a build reads all of it in a moment anyway
        begin = file.size - window
        offset = file.find_start(begin, file.size)
        if offset is None or offset == file.size:
            raise file.error(begin, None, "documents up to the file's end", "none that are whole")
        while offset < file.size:
            _, offset = file.decoded(offset, None)
