"""Pictures made small enough for a page."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from cdisc_tfds.strict_loading import load_whole

SIDE = 180  # pixels: the size of the competition's pictures
# Pictures of SIDE pixels are smaller, but for a few with much metadata.
_MAX_BYTES = 24_000


def thumbnail(jpeg: bytes) -> bytes | None:
    """A JPEG of at most SIDE x SIDE pixels: the file itself if it is small; None if undecodable.

    Like training, this ignores the orientation in the metadata.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `draft` reduces it
            with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
                fits = max(image.size) <= SIDE and len(jpeg) <= _MAX_BYTES
                image.draft("RGB", (SIDE, SIDE))
                load_whole(image)
                if fits:
                    return jpeg
                small = image.convert("RGB")
                small.thumbnail((SIDE, SIDE))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # what Pillow raises for damaged files
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue()
