"""TFRecord framing, without TensorFlow.

    | length: uint64 | masked crc of the 8 length bytes: uint32 | record | its masked crc: uint32 |

All numbers are little-endian. A masked CRC is the CRC-32C rotated right by 15 bits plus a constant,
because the plain CRC of data that contains CRCs is weak.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import IO

import google_crc32c

from cdisc_tfds.storage import path_of, size_of

OVERHEAD_BYTES = 16
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


class TFRecordError(ValueError):
    """The bytes are no intact record; the message says what is wrong, and at which byte."""


def masked_crc(*pieces: bytes) -> int:
    """The masked CRC-32C of the concatenated pieces."""
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(pieces: Sequence[bytes]) -> list[bytes]:
    """Frames a record, given in pieces, for a TFRecord file; returns pieces as well."""
    length = sum(map(len, pieces))
    header = _HEADER.pack(length, masked_crc(_LENGTH.pack(length)))
    return [header, *pieces, _FOOTER.pack(masked_crc(*pieces))]


def count_records(path: str | os.PathLike[str], begin: int = 0) -> tuple[int, int]:
    """Counts the records of a file by their lengths, without verifying checksums.

    Args:
      path: the file.
      begin: byte where a record starts.

    Returns:
      (whole records from `begin` on, the offset after the last of them). The offset is less than
      the file's size if the file ends within a record.
    """
    count, end, size = 0, begin, size_of(path)
    with path_of(path).open("rb") as file:
        while end + OVERHEAD_BYTES <= size:
            file.seek(end)
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            if end + OVERHEAD_BYTES + length > size:
                break
            end += OVERHEAD_BYTES + length
            count += 1
    return count, end


def read_record(file: IO[bytes]) -> bytes | None:
    """The record at the file's position, checked against its checksums; None at the file's end.

    Raises:
      TFRecordError: the record is damaged, or the file ends within it.
    """
    begin = file.tell()
    header = file.read(_HEADER.size)
    if not header:
        return None
    if len(header) == _HEADER.size:
        length, length_crc = _HEADER.unpack(header)
        if masked_crc(header[: _LENGTH.size]) != length_crc:
            raise TFRecordError(f"a corrupted record at {begin}")
        framed = file.read(length + _FOOTER.size)
        if len(framed) == length + _FOOTER.size:
            record = framed[:length]
            if masked_crc(record) != _FOOTER.unpack_from(framed, length)[0]:
                raise TFRecordError(f"a corrupted record at {begin}")
            return record
    raise TFRecordError(f"a truncated record at {begin}")


def skip_record(file: IO[bytes]) -> None:
    """Moves past the record at the file's position, of which it reads the length alone.

    Raises:
      TFRecordError: the length is damaged, or the file ends before it.
    """
    begin = file.tell()
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise TFRecordError(f"a truncated record at {begin}")
    length, length_crc = _HEADER.unpack(header)
    if masked_crc(header[: _LENGTH.size]) != length_crc:
        raise TFRecordError(f"a corrupted record at {begin}")
    file.seek(length + _FOOTER.size, os.SEEK_CUR)


def read_records(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yields (offset, record) of the records from the file's position on; see `read_record`."""
    begin = file.tell()
    while (record := read_record(file)) is not None:
        yield begin, record
        begin += OVERHEAD_BYTES + len(record)
