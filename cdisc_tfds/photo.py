"""A picture file of any format, as bytes that the input pipeline decodes.

A JPEG that stands upright stays byte for byte. Every other picture becomes a PNG, which loses
nothing: turned as its EXIF orientation says, on white where it is transparent, in RGB, and without
metadata. Of an animation or a file of several pages, the first picture counts. Colour profiles are
not applied, because the pipeline does not apply those of a JPEG either.
"""

from __future__ import annotations

import functools
import io
import os
import pathlib
import stat
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cdisc_tfds.jpeg import MAX_PIXELS, JpegError, jpeg_fault, walk
from cdisc_tfds.strict_loading import load_whole

MAX_FILE_BYTES = 256 << 20
_JPEG_MARK = b"\xff\xd8\xff"
_APP1, _EXIF = 0xFFE1, b"Exif\x00\x00"
ORIENTATION, UPRIGHT = 0x0112, 1  # an EXIF tag, and its value for a picture that stays
# Pillow reads it by running Ghostscript, an interpreter of programs: never for a stranger's file.
RUN_PROGRAMS = ("EPS",)


class PictureError(ValueError):
    """The picture cannot be used; the message says why."""


def read_picture(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a picture file.

    Raises:
      PictureError: it cannot be read, is no regular file, or is too large.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise PictureError("it is not a regular file")
        if found.st_size > MAX_FILE_BYTES:
            raise PictureError(
                f"the file has {found.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
            )
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise PictureError("there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"the file cannot be read ({error})") from None


def decodable(data: bytes, max_side: int) -> bytes:
    """The picture as an upright JPEG, the same bytes, or as a PNG.

    A PNG is shrunk to at most `max_side` in width and in height, each by itself: the pipeline makes
    squares of that size. Its pixels then differ from the pipeline's own by 1 of 255 at most,
    because both use the same filter (a triangle as wide as the factor).

    Args:
      data: a file of any format that Pillow reads, apart from those that run programs (EPS).
      max_side: in pixels; the largest picture that a network takes.

    Raises:
      PictureError: it is no picture, is damaged or cut short, or its header claims more than
        `MAX_PIXELS` pixels (found before any pixel is decoded).
    """
    if not data.startswith(_JPEG_MARK):
        return _as_png(data, max_side)
    if fault := jpeg_fault(data):
        raise PictureError(fault)
    return data if _stands_upright(data) else _as_png(data, max_side)


def _stands_upright(jpeg: bytes) -> bool:
    """Whether no EXIF orientation turns the picture; damaged EXIF data do not."""
    try:
        has_exif = any(
            marker == _APP1 and jpeg.startswith(_EXIF, position + 4)
            for marker, position, _ in walk(jpeg)
        )
        if not has_exif:
            return True
        with Image.open(io.BytesIO(jpeg), formats=["JPEG", "MPO"]) as image:
            return image.getexif().get(ORIENTATION, UPRIGHT) not in range(2, 9)
    except (JpegError, OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return True  # as decoders of JPEG see it, which do not look at EXIF data


def _as_png(data: bytes, max_side: int) -> bytes:
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(
                    f"its header claims {image.width} x {image.height} pixels; at most "
                    f"{MAX_PIXELS:,} are decoded"
                )
            load_whole(image)
            picture = _on_white(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(_unknown(data)) from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"its header claims too many pixels ({error})") from None
    except Exception as error:
        # A damaged file makes Pillow's readers raise errors of many types (SyntaxError, IndexError,
        # struct.error, ...). None may end the run; each is listed as the reason.
        raise PictureError(f"it cannot be decoded ({type(error).__name__}: {error})") from None
    size = (min(picture.width, max_side), min(picture.height, max_side))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    picture.info.clear()  # else Pillow writes metadata into the PNG
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


@functools.cache
def _formats() -> list[str]:
    """The formats to try."""
    Image.init()
    return [name for name in Image.ID if name not in RUN_PROGRAMS]


def _on_white(image: Image.Image) -> Image.Image:
    """The picture in RGB, 8 bits a channel."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of one channel with more than 8 bits, in 8.

    Integers up to 65535 count as 16 bits, floats from 0 to 1 as a share of white. Other values are
    stretched from their smallest to their largest.
    """
    pixels = np.nan_to_num(np.asarray(image, np.float64))
    low, high = float(pixels.min()), float(pixels.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (pixels - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _unknown(data: bytes) -> str:
    if not data:
        return "the file is empty"
    return f"it is no picture, or a damaged one: it starts with {data[:8].hex(' ')}"
