"""Writes photos as shops have them: products as files in folders, and pictures of other formats."""

from __future__ import annotations

import io
import pathlib

import numpy as np
from PIL import Image

from cdisc_tfds.records import Product


def write_product_folders(folder: pathlib.Path, products: list[Product]) -> pathlib.Path:
    """Writes FOLDER/<product_id>/<n>.jpg, byte for byte; ids have leading zeros."""
    for product in products:
        own = folder / f"{product.product_id:06d}"
        own.mkdir(parents=True)
        for number, jpeg in enumerate(product.images):
            (own / f"{number}.jpg").write_bytes(jpeg)
    return folder


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    """Pixels uint8 [h, w, 3 or 4] as a file of a format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    """The pixels of a picture file, uint8 [h, w, 3]."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
