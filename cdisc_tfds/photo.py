"""A picture file of any format, as bytes that the input pipeline decodes.

A JPEG that stands upright stays byte for byte. Every other picture becomes a PNG of the pixels that
`rgb_picture` makes of it, which loses nothing.
"""

from __future__ import annotations

import io

from PIL import Image

from cdisc_tfds.jpeg import MAX_PIXELS, JpegError, jpeg_fault, walk
from cdisc_tfds.picture_file import JPEG_MARK, is_turned, opened_picture
from cdisc_tfds.rgb_picture import on_white, upright

_APP1 = 0xFFE1  # the marker of EXIF data, and of XMP, which may hold the orientation as well


def decodable(
    data: bytes,
    max_side: int,
    formats: tuple[str, ...] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """The picture as an upright JPEG, the same bytes, or as a PNG.

    A PNG is shrunk to at most `max_side` in width and in height, each by itself: the pipeline makes
    squares of that size. Its pixels then differ from the pipeline's own by 1 of 255 at most,
    because both use the same filter (a triangle as wide as the factor).

    Args:
      data: a file of any format that Pillow reads, apart from those that run programs (EPS).
      max_side: in pixels; the largest picture that a network takes.
      formats: Pillow's names of the formats to read, with JPEG; None: all.
      max_pixels: what the header of a picture may claim that does not stay byte for byte.

    Raises:
      PictureError: as `opened_picture`.
    """
    if data.startswith(JPEG_MARK) and jpeg_fault(data) is None and _stands_upright(data):
        return data
    with opened_picture(data, formats, max_pixels) as image:
        picture = upright(image)
        size = (min(picture.width, max_side), min(picture.height, max_side))
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        picture = on_white(picture)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _stands_upright(jpeg: bytes) -> bool:
    """Whether no EXIF orientation turns the picture; damaged EXIF data do not."""
    try:
        if not any(marker == _APP1 for marker, _, _ in walk(jpeg)):
            return True
        with Image.open(io.BytesIO(jpeg), formats=["JPEG", "MPO"]) as image:
            return not is_turned(image)
    except (JpegError, OSError, SyntaxError, ValueError, TypeError, KeyError):
        return True  # as decoders of JPEG see it, which do not look at EXIF data
