"""A stranger's picture file: its bytes, and the picture that Pillow opens.

The catalogue, `trainer.classify` and the service open pictures here, so they refuse the same ones
for the same reasons.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import stat
import struct
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from cdisc_tfds.jpeg import MAX_PIXELS, jpeg_fault

MAX_FILE_BYTES = 256 << 20
JPEG_MARK = b"\xff\xd8\xff"
_ORIENTATION = 0x0112  # an EXIF tag; 1 is a picture that stands upright
# Pillow reads it by running Ghostscript, an interpreter of programs: never for a stranger's file.
_RUN_PROGRAMS = ("EPS",)


class PictureError(ValueError):
    """The picture cannot be used; the message says why."""


class TooManyPixelsError(PictureError):
    """The picture's header claims more pixels than are decoded."""


class UnknownFormatError(PictureError):
    """The bytes are of no format that is read here."""


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
    except ValueError as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"the file cannot be read ({error})") from None  # a null in its path


@contextlib.contextmanager
def opened_picture(
    data: bytes, formats: tuple[str, ...] | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[Image.Image]:
    """Opens a picture. Its pixels are decoded within the context, and damage is found there.

    Args:
      data: a file of any format that Pillow reads, apart from those that run programs (EPS).
      formats: Pillow's names of the formats to read; None: all.
      max_pixels: what the header may claim.

    Raises:
      TooManyPixelsError: the header claims more, found before any pixel is decoded.
      UnknownFormatError: it is of no such format, or its start is damaged.
      PictureError: it is damaged or cut short.
    """
    if data.startswith(JPEG_MARK) and (fault := jpeg_fault(data)):
        raise PictureError(fault)
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.format in _RUN_PROGRAMS:
                raise PictureError(f"{image.format} files are not read: that would run a program")
            if image.width * image.height > max_pixels:
                raise TooManyPixelsError(
                    f"its header claims {image.width} x {image.height} pixels; at most "
                    f"{max_pixels:,} are decoded"
                )
            yield image
    except (PictureError, MemoryError):  # memory that is short is no fault of the picture
        raise
    except UnidentifiedImageError:
        raise UnknownFormatError(_unknown(data)) from None
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"its header claims too many pixels ({error})") from None
    except Exception as error:
        # A damaged file makes Pillow's readers raise errors of many types (SyntaxError, IndexError,
        # struct.error, ...). None may end the run; each is listed as the reason.
        raise PictureError(f"it cannot be decoded ({type(error).__name__}: {error})") from None


def is_turned(image: Image.Image) -> bool:
    """Whether an EXIF orientation turns or mirrors an opened picture; damaged EXIF data do not."""
    try:
        return image.getexif().get(_ORIENTATION) in range(2, 9)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return False


def _unknown(data: bytes) -> str:
    if not data:
        return "the picture is empty"
    return (
        "it is no picture of a format that is read, or a damaged one: it starts with "
        f"{data[:8].hex(' ')}"
    )
