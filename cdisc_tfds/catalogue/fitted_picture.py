"""Turns a picture file of any format into a JPEG of at most a given size.

A JPEG that fits stays byte for byte. Everything else becomes an RGB JPEG: turned upright as its
EXIF orientation says, on white where it is transparent, shrunk, and without metadata. Of an
animation or a file of several pages, the first picture counts.
"""

from __future__ import annotations

import io
import os
import pathlib
import stat
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cdisc_tfds.jpeg import FRAMES, MAX_PIXELS, frame_header, jpeg_fault, walk
from cdisc_tfds.photo import (
    MAX_FILE_BYTES,
    ORIENTATION,
    RUN_PROGRAMS,
    UPRIGHT,
    PictureError,
)
from cdisc_tfds.strict_loading import load_whole

DEFAULT_MAX_SIZE = 180  # pixels; the side of the competition's pictures
QUALITY = 90
_JPEG_MARK = b"\xff\xd8\xff"


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
    except OSError as error:
        raise PictureError(f"the file cannot be read ({error.strerror})") from None


def fitted_jpeg(data: bytes, max_size: int) -> bytes:
    """The picture as a JPEG file with no side longer than `max_size` pixels.

    Args:
      data: a file of any format that Pillow reads, apart from those that run programs (EPS).
      max_size: in pixels.

    Raises:
      PictureError: it is no picture, is damaged or cut short, or its header claims more than
        `MAX_PIXELS` pixels (found before any pixel is decoded).
    """
    if data.startswith(_JPEG_MARK) and (fault := jpeg_fault(data)):
        raise PictureError(fault)
    try:
        with warnings.catch_warnings():
            # About damaged metadata and large pictures, for which there are rules of our own.
            warnings.simplefilter("ignore")
            return _fitted(data, max_size)
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise PictureError(_unknown(data)) from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"its header claims too many pixels ({error})") from None
    except Exception as error:
        # A damaged file makes Pillow's readers raise errors of many types (SyntaxError, IndexError,
        # struct.error, ...). None may end the run; each is listed as the reason.
        raise PictureError(f"it cannot be decoded ({type(error).__name__}: {error})") from None


def _fitted(data: bytes, max_size: int) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        if image.format in RUN_PROGRAMS:
            raise PictureError(f"{image.format} files are not read: that would run a program")
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(
                f"its header claims {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} "
                "are decoded"
            )
        stays = max(image.size) <= max_size and _stays(data, image)
        # libjpeg shrinks by 2, 4 or 8 while it decodes. All of the file is read all the same, so
        # the smallest size is enough for a check; a good filter needs twice the final size.
        side = 1 if stays else 2 * max_size
        image.draft(None, (side, side))
        load_whole(image)
        if stays:
            return data
        ImageOps.exif_transpose(image, in_place=True)
        small = _plain(image)
        # A large picture shrinks before it is laid on white, which would take as much memory again.
        small.thumbnail((max_size, max_size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    _on_white(small).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _stays(data: bytes, image: Image.Image) -> bool:
    """Whether a picture that fits is a JPEG that every decoder shows as this one does."""
    if not data.startswith(_JPEG_MARK) or image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT:
        return False
    for marker, position, _ in walk(data):
        if marker in FRAMES:
            return frame_header(data, position).components in (1, 3)  # 4: CMYK
    return False


def _plain(image: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA if it has transparent parts; 8 bits a channel."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _on_white(image: Image.Image) -> Image.Image:
    """A picture in RGB or RGBA, in RGB."""
    if image.mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of one channel with more than 8 bits, in 8.

    Integers up to 65535 count as 16 bits, floats from 0 to 1 as a share of white. Other values are
    stretched from their smallest to their largest.
    """
    pixels = np.nan_to_num(np.asarray(image, np.float32))
    low, high = float(pixels.min()), float(pixels.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scaled = (pixels - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _unknown(data: bytes) -> str:
    if not data:
        return "the picture is empty"
    return f"it is no picture that Pillow reads: it starts with {data[:8].hex(' ')}"
