"""What is wrong with a picture, as far as its headers tell: no pixel is decoded.

A JPEG file is FF D8, then segments `FF marker length(2, big-endian) payload`, one of them the frame
header (SOF: precision, height, width, components), then the scan data, and FF D9 at its end.
"""

from __future__ import annotations

# Frame headers that libjpeg(-turbo), and so TensorFlow and Pillow, decode: baseline, extended and
# progressive Huffman. The other kinds of SOF are lossless, hierarchical or arithmetic.
_DECODABLE_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
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
    while position + 4 <= size:
        if data[position] != 0xFF:
            return f"the JPEG has no marker at byte {position}, where a segment must start"
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker in _FRAMES:
            return _frame_fault(data, position, marker) or _end_fault(data, position)
        elif marker == _START_OF_SCAN or marker == 0xD9:
            return "the JPEG has no frame header before its pixels"
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return "the JPEG ends within its headers"


def _frame_fault(data: bytes, position: int, marker: int) -> str | None:
    if position + 10 > len(data):
        return "the JPEG ends within its headers"
    if marker not in _DECODABLE_FRAMES:
        return f"the JPEG is of a kind that common decoders do not read (SOF{marker - 0xC0})"
    precision, components = data[position + 4], data[position + 9]
    height = int.from_bytes(data[position + 5 : position + 7], "big")
    width = int.from_bytes(data[position + 7 : position + 9], "big")
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
