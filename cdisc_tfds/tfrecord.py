"""TFRecord framing, without TensorFlow.

    | length: uint64 | masked crc of the 8 length bytes: uint32 | record | its masked crc: uint32 |

all little-endian, with CRC-32C rotated right by 15 bits plus a constant ("masked"), so that the
checksum of data that holds checksums is not weak.
"""

from __future__ import annotations

import struct

import google_crc32c

OVERHEAD_BYTES = 16
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(record: bytes) -> tuple[bytes, bytes, bytes]:
    """The record as it stands in a TFRecord file: what precedes it, itself, what follows it."""
    length = len(record)
    header = _HEADER.pack(length, masked_crc(_LENGTH.pack(length)))
    return header, record, _FOOTER.pack(masked_crc(record))
