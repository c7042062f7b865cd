"""TFRecord framing, without TensorFlow.

    | length: uint64 | masked crc of the 8 length bytes: uint32 | record | its masked crc: uint32 |

all little-endian, with CRC-32C rotated right by 15 bits plus a constant ("masked"), so that the
checksum of data that holds checksums is not weak.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import google_crc32c

OVERHEAD_BYTES = 16
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


def masked_crc(*pieces: bytes) -> int:
    """Of the pieces end to end."""
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(pieces: Sequence[bytes]) -> list[bytes]:
    """A record, given in pieces, as it stands in a TFRecord file; in pieces as well."""
    length = sum(map(len, pieces))
    header = _HEADER.pack(length, masked_crc(_LENGTH.pack(length)))
    return [header, *pieces, _FOOTER.pack(masked_crc(*pieces))]
