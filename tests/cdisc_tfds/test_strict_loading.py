"""Pictures that were cut short are damaged, whatever other libraries made of Pillow."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from cdisc_tfds.strict_loading import load_whole


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("lenient", [False, True])
def test_a_picture_that_was_cut_short(kind, lenient, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, [40, 40, 3], np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    # TFDS sets it in some of its functions.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    load_whole(Image.open(io.BytesIO(file.getvalue())))
    with pytest.raises((OSError, SyntaxError, ValueError)):
        load_whole(Image.open(io.BytesIO(file.getvalue()[:-400])))
