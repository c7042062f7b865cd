"""The headers of a JPEG file: its segments, its frame header, and whether a decoder accepts it.

This module decodes no pixels. A JPEG file is FF D8, then segments `FF marker length(2, big-endian)
payload`, one of them the frame header (SOF: precision, height, width, components), then the scan
data, and FF D9 at the end. Padding bytes FF may precede a segment. (ITU-T T.81, annex B.)
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

# Markers as 16-bit numbers, including 0xFF.
FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
END, START_OF_SCAN = 0xFFD9, 0xFFDA
_LAST = (END, START_OF_SCAN)
# The frames that libjpeg-turbo decodes in the builds of TensorFlow 2.21 and Pillow: baseline,
# extended and progressive, with Huffman coding (C0 to C2) or arithmetic coding (C9, CA). The others
# are lossless or hierarchical.
_DECODABLE_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2, 0xFFC9, 0xFFCA))
_PADDING = 0xFFFF
_SEGMENT = struct.Struct(">HH")  # marker, length
_FRAME = struct.Struct(">4xBHHB")  # marker and length, then precision, height, width, components
# Larger than any camera's picture; a header that claims more is damaged or an attack on memory.
MAX_PIXELS = 1 << 27


class JpegError(ValueError):
    """The bytes are not the required JPEG segment."""


@dataclasses.dataclass(frozen=True)
class FrameHeader:
    """The fields of a frame header (SOF).

    Attributes:
      marker: the kind of frame, one of `FRAMES`.
      precision: bits per sample.
      height, width: in pixels.
      components: number of colour components.
    """

    marker: int
    precision: int
    height: int
    width: int
    components: int


def walk(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, position, length) for each segment after the FF D8 at the start.

    The last segment is the start of the scan (SOS); pixels follow it. A file that ends before its
    scan has END as its last marker; END has no length field, so its length is 0.

    Args:
      data: a JPEG file. `walk` ignores its first two bytes.

    Yields:
      The marker (such as 0xFFC0), the position of its FF byte, and the segment's length field: the
      number of bytes after the marker, including the field's own two.

    Raises:
      JpegError: the bytes at some position are not a segment, or `data` ends before the scan.
    """
    unpack, last = _SEGMENT.unpack_from, len(data) - _SEGMENT.size
    position = 2
    while position <= last:
        marker, length = unpack(data, position)
        if marker < 0xFF00:
            raise JpegError(
                f"the JPEG has no marker at byte {position}, where a segment must start"
            )
        if marker == _PADDING:
            position += 1
            continue
        yield marker, position, 0 if marker == END else length
        if marker in _LAST:
            return
        position += 2 + length
    raise JpegError("the JPEG ends within its headers")


def frame_header(data: bytes, position: int) -> FrameHeader:
    """The frame header whose marker is at `position`, as `walk` yields it.

    Raises:
      JpegError: `data` ends within the header.
    """
    return FrameHeader(_SEGMENT.unpack_from(data, position)[0], *_frame_fields(data, position))


def _frame_fields(data: bytes, position: int) -> tuple[int, int, int, int]:
    """Precision, height, width, components."""
    try:
        return _FRAME.unpack_from(data, position)
    except struct.error:
        raise JpegError("the JPEG ends within its headers") from None


def jpeg_fault(data: bytes) -> str | None:
    """The reason that no decoder would accept `data`, or None. A truncated picture is damaged."""
    if not data:
        return "the picture is empty"
    if data[:3] != b"\xff\xd8\xff":
        return f"the picture is not a JPEG: it starts with {data[:3].hex(' ')}, not with ff d8 ff"
    try:
        for marker, position, _ in walk(data):
            if marker in FRAMES:
                return _frame_fault(data, position, marker) or _end_fault(data, position)
    except JpegError as error:
        return str(error)
    return "the JPEG has no frame header before its pixels"


def _frame_fault(data: bytes, position: int, marker: int) -> str | None:
    # No FrameHeader here: creating one would take longer than everything else.
    precision, height, width, components = _frame_fields(data, position)
    if marker not in _DECODABLE_FRAMES:
        return f"the JPEG is of a kind that common decoders do not read (SOF{marker - 0xFFC0})"
    if precision != 8 or components not in (1, 3, 4):
        return f"the JPEG has {components} components of {precision} bits, not 1, 3 or 4 of 8"
    if not 0 < height * width <= MAX_PIXELS:
        return f"the JPEG claims {width} x {height} pixels; from 1 to {MAX_PIXELS} can be read"
    return None


def _end_fault(data: bytes, position: int) -> str | None:
    # Some writers pad the file after its end, so search for the end marker from the back.
    if data.rfind(b"\xff\xd9", position) < 0:
        return "the JPEG has no end marker (ff d9): it was cut short"
    return None
