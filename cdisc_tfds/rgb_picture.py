"""The pixels of a picture of any mode: upright, in RGB with 8 bits a channel, on white.

The catalogue, `trainer.classify` and the service take their pixels from here, so a network sees a
photo as it saw those that it was trained on. Colour profiles are not applied, because the input
pipeline does not apply those of a JPEG either.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from cdisc_tfds.picture_file import is_turned
from cdisc_tfds.strict_loading import load_whole

_STRIP_ROWS = 256


def upright(image: Image.Image) -> Image.Image:
    """Decodes an opened picture, the first one of an animation or of several pages.

    Returns:
      It, turned as its EXIF orientation says, in RGB, or in RGBA if it has transparent parts. A
      large one should shrink before `on_white`, which takes as much memory again.

    Raises:
      What `Image.load` raises for a damaged picture; `opened_picture` turns it into a PictureError.
    """
    load_whole(image)
    if is_turned(image):
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def on_white(image: Image.Image) -> Image.Image:
    """A picture in RGB or RGBA, in RGB and without metadata."""
    if image.mode != "RGB":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    image.info.clear()  # else Pillow writes metadata into the files that it makes of the picture
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of one channel with more than 8 bits, in 8.

    Integers up to 65535 count as 16 bits, floats from 0 to 1 as a share of white. Other values are
    stretched from their smallest to their largest. What is no number is black.
    """
    pixels = np.asarray(image)
    finite = np.isfinite(pixels)
    if not finite.any():
        return Image.new("L", image.size)
    one = pixels.flat[int(finite.argmax())]
    low = float(pixels.min(where=finite, initial=one))
    high = float(pixels.max(where=finite, initial=one))
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif image.mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scale = 255 / max(high - low, 1e-12)
    shades = np.empty(pixels.shape, np.uint8)
    # float32 has no room for all integers of 32 bits; float64 of all rows would take a gigabyte.
    for start in range(0, len(pixels), _STRIP_ROWS):
        rows = slice(start, start + _STRIP_ROWS)
        strip = np.nan_to_num(pixels[rows].astype(np.float64), nan=low, posinf=high, neginf=low)
        shades[rows] = np.clip(np.rint((strip - low) * scale), 0, 255)
    return Image.fromarray(shades)
