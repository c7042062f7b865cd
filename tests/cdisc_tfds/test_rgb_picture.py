"""Pixels of modes that have more than RGB, or more than 8 bits."""

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds import rgb_picture
from cdisc_tfds.rgb_picture import on_white, upright


def shades(values, dtype):
    image = upright(Image.fromarray(np.array([values], dtype)))
    assert image.mode == "RGB"
    return np.asarray(image)[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint16, [0, 65535, 257 * 100], [0, 255, 100]),
        (np.int32, [0, 65535, 257 * 100], [0, 255, 100]),
        (np.int32, [-1, 254, 99], [0, 255, 100]),
        # Neighbours that are equal in float32.
        (np.int32, [1 << 30, (1 << 30) + 1, (1 << 30) + 5], [0, 51, 255]),
        (np.float32, [0, 1, 0.2], [0, 255, 51]),
        (np.float32, [-5, 5, 0], [0, 255, 128]),
        (np.float32, [np.nan, 0.2, np.inf, -np.inf], [0, 51, 255, 0]),
        (np.float32, [np.nan, np.inf], [0, 0]),
        (np.float32, [7, 7], [0, 0]),
    ],
)
def test_more_than_8_bits(dtype, values, expected):
    assert shades(values, dtype) == expected


def test_strips_of_rows_share_a_scale(monkeypatch):
    monkeypatch.setattr(rgb_picture, "_STRIP_ROWS", 2)
    rows = np.arange(5, dtype=np.float32)[:, None] - 2
    image = upright(Image.fromarray(rows))
    assert np.asarray(image)[:, 0, 0].tolist() == [0, 64, 128, 191, 255]


def test_metadata_do_not_come_along():
    image = Image.new("RGB", (2, 2))
    image.info = {"comment": b"secret", "icc_profile": b"x"}
    assert on_white(upright(image)).info == {}
