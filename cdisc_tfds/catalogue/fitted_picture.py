"""Turns a picture file of any format into a JPEG of at most a given size.

A JPEG that fits stays byte for byte. Everything else becomes a JPEG of the pixels that
`rgb_picture` makes of it, shrunk.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image

from cdisc_tfds.jpeg import FRAMES, frame_header, walk
from cdisc_tfds.picture_file import JPEG_MARK, is_turned, opened_picture
from cdisc_tfds.rgb_picture import on_white, upright
from cdisc_tfds.strict_loading import load_whole

DEFAULT_MAX_SIZE = 180  # pixels; the side of the competition's pictures
QUALITY = 90


def fitted_jpeg(data: bytes, max_size: int) -> bytes:
    """The picture as a JPEG file with no side longer than `max_size` pixels.

    Args:
      data: a file of any format that Pillow reads, apart from those that run programs (EPS).
      max_size: in pixels.

    Raises:
      PictureError: it is no picture, is damaged or cut short, or its header claims more than
        `MAX_PIXELS` pixels (found before any pixel is decoded).
    """
    with warnings.catch_warnings():
        # About damaged metadata and large pictures, for which there are rules of our own.
        warnings.simplefilter("ignore")
        with opened_picture(data) as image:
            return _fitted(data, image, max_size)


def _fitted(data: bytes, image: Image.Image, max_size: int) -> bytes:
    stays = max(image.size) <= max_size and _stays(data, image)
    # libjpeg shrinks by 2, 4 or 8 while it decodes. All of the file is read all the same, so the
    # smallest size is enough for a check; a good filter needs twice the final size.
    side = 1 if stays else 2 * max_size
    image.draft(None, (side, side))
    if stays:
        load_whole(image)
        return data
    small = upright(image)
    small.thumbnail((max_size, max_size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    on_white(small).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _stays(data: bytes, image: Image.Image) -> bool:
    """Whether a picture that fits is a JPEG that every decoder shows as this one does."""
    if not data.startswith(JPEG_MARK) or is_turned(image):
        return False
    for marker, position, _ in walk(data):
        if marker in FRAMES:
            return frame_header(data, position).components in (1, 3)  # 4: CMYK
    return False
