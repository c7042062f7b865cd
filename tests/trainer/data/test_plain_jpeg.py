import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data.plain_jpeg import has_plain_headers, is_plain


def encode(mode="RGB", **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, [24, 20, 3], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


PLAIN = encode()


def segment(jpeg: bytes, marker: int) -> int:
    """Where the first segment with that marker starts."""
    return jpeg.index(bytes([0xFF, marker]))


def with_byte(jpeg: bytes, place: int, value: int) -> bytes:
    return jpeg[:place] + bytes([value]) + jpeg[place + 1 :]


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"comment": b"a shop's own \xff words"}, {"quality": 30}]
)
def test_files_as_shops_make_them_are_plain(options):
    assert has_plain_headers(encode(**options))


ODD = {
    "empty": b"",
    "another format": b"\x89PNG\r\n",
    "start and end alone": b"\xff\xd8\xff\xd9",
    "grey": encode("L"),
    "four inks": encode("CMYK"),
    "cut short": PLAIN[:-40],
    "bytes behind its end": PLAIN + b"\0",
    "a lost marker": with_byte(PLAIN, segment(PLAIN, 0xDB), 0),
    "padding before a marker": PLAIN[:2] + b"\xff" + PLAIN[2:],
    "two frames": PLAIN[: segment(PLAIN, 0xC0)]
    + PLAIN[segment(PLAIN, 0xC0) :][:19]
    + PLAIN[segment(PLAIN, 0xC0) :],
    "a marker that has no length": PLAIN[:2] + b"\xff\xd0\0\2" + PLAIN[2:],
    "a wrong length": with_byte(PLAIN, segment(PLAIN, 0xC4) + 3, 7),
    "arithmetic coding": with_byte(PLAIN, segment(PLAIN, 0xC0) + 1, 0xC9),
    "twelve bits": with_byte(PLAIN, segment(PLAIN, 0xC0) + 4, 12),
    "no height": with_byte(PLAIN, segment(PLAIN, 0xC0) + 6, 0),
    "a height of 65,304": with_byte(PLAIN, segment(PLAIN, 0xC0) + 5, 255),
    "an end within the frame header": PLAIN[: segment(PLAIN, 0xC0) + 6] + b"\xff\xd9",
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_told(kind):
    # The tall one is odd by its number of pixels alone: 65,304 x 20 would be few enough.
    jpeg = ODD[kind]
    if kind == "a height of 65,304":
        jpeg = with_byte(jpeg, segment(jpeg, 0xC0) + 7, 255)
    assert not has_plain_headers(jpeg)


def test_headers_cut_anywhere_are_odd():
    """Also with the end marker where the cut is: no place may raise."""
    for length in range(segment(PLAIN, 0xDA)):
        assert not has_plain_headers(PLAIN[:length] + b"\xff\xd9")


def test_a_batch_is_told_apart_picture_by_picture():
    # Its headers are whole, but a table that the pixels need is defined under another number.
    without_table = with_byte(PLAIN, segment(PLAIN, 0xDB) + 4, 0x03)
    assert has_plain_headers(without_table)
    jpegs = [PLAIN, ODD["grey"], without_table, PLAIN, b""]
    assert is_plain(tf.constant(jpegs)).numpy().tolist() == [True, False, False, True, False]
    assert is_plain(tf.constant([b"", b"x"])).numpy().tolist() == [False, False]
    assert is_plain(tf.constant([], tf.string)).numpy().tolist() == []
