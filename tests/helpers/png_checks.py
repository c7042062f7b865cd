"""Checks the PNGs of the code under test."""

import io

import numpy as np
from PIL import Image


def image_of(png: bytes) -> Image.Image:
    """The PNG, decoded."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def has_colour(png: bytes, colour: str) -> bool:
    """Whether any pixel has roughly the colour `#rrggbb`."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.asarray(image_of(png).convert("RGB"), int)
    return bool(np.all(np.abs(pixels - wanted) < 24, axis=-1).any())  # lines have soft edges
