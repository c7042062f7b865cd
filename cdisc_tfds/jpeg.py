"""What is wrong with a picture, as far as its headers tell: no pixel is decoded.

A JPEG file is FF D8, then segments `FF marker length(2, big-endian) payload`, one of them the frame
header (SOF: precision, height, width, components), then the scan data, and FF D9 at its end.
"""

from __future__ import annotations

import struct

# Frame headers that libjpeg(-turbo), and so TensorFlow and Pillow, decode: baseline, extended and
# progressive Huffman. The other kinds of SOF are lossless, hierarchical or arithmetic.
_DECODABLE_FRAMES = frozenset((0xFFC0, 0xFFC1, 0xFFC2))
_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
_END, _START_OF_SCAN, _PADDING = 0xFFD9, 0xFFDA, 0xFFFF
_SEGMENT = struct.Struct(">HH")  # marker, length
_FRAME = struct.Struct(">4xBHHB")  # behind these: precision, height, width, components
# Larger than any camera's picture; a header that claims more is damage or an attack on memory.
MAX_PIXELS = 1 << 27


def jpeg_fault(data: bytes) -> str | None:
    """Why no decoder will take `data`, or None. A picture cut short counts as damaged."""
    if not data:
        return "the picture is empty"
    if data[:3] != b"\xff\xd8\xff":
        return f"the picture is not a JPEG: it starts with {data[:3].hex(' ')}, not with ff d8 ff"
    size = len(data)
    position = 2
    while position + _SEGMENT.size <= size:
        marker, length = _SEGMENT.unpack_from(data, position)
        if marker in _FRAMES:
            return _frame_fault(data, position, marker) or _end_fault(data, position)
        if marker < 0xFF00:
            return f"the JPEG has no marker at byte {position}, where a segment must start"
        if marker == _PADDING:
            position += 1
        elif marker in (_START_OF_SCAN, _END):
            return "the JPEG has no frame header before its pixels"
        else:
            position += 2 + length
    return "the JPEG ends within its headers"


def _frame_fault(data: bytes, position: int, marker: int) -> str | None:
    if position + _FRAME.size > len(data):
        return "the JPEG ends within its headers"
    if marker not in _DECODABLE_FRAMES:
        return f"the JPEG is of a kind that common decoders do not read (SOF{marker - 0xFFC0})"
    precision, height, width, components = _FRAME.unpack_from(data, position)
    if precision != 8 or components not in (1, 3, 4):
        return f"the JPEG has {components} components of {precision} bits, not 1, 3 or 4 of 8"
    if not 0 < height * width <= MAX_PIXELS:
        return f"the JPEG claims {width} x {height} pixels; from 1 to {MAX_PIXELS} can be read"
    return None


def _end_fault(data: bytes, position: int) -> str | None:
    # Writers may pad behind the end, so it is looked for, from the back.
    if data.rfind(b"\xff\xd9", position) < 0:
        return "the JPEG has no end marker (ff d9): it was cut short"
    return None
