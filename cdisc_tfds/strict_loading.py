"""Decodes pictures with Pillow, and refuses those that were cut short."""

from __future__ import annotations

from PIL import Image, ImageFile


def load_whole(image: Image.Image) -> None:
    """Decodes an opened picture.

    TFDS switches Pillow, for the whole process, to fill up what a picture lacks with grey. Nothing
    here wants that, so it is switched off again, for the whole process as well: a switch for a
    moment would also hit pictures that other threads decode.

    Raises:
      What `Image.load` raises: OSError, SyntaxError, ValueError, ... for a damaged picture.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    image.load()
