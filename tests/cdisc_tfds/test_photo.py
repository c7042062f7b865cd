import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.photo import decodable
from cdisc_tfds.picture_file import PictureError
from tests.helpers.photo_files import encoded, pixels_of

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, [20, 30, 3], dtype=np.uint8)
ORIENTATION = 0x0112


def _jpeg(pixels=PIXELS, **options):
    return encoded(pixels, "JPEG", quality=90, **options)


def _turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("options", [{}, {"exif": _turned(1)}, {"progressive": True}])
def test_an_upright_jpeg_stays_byte_for_byte(options):
    jpeg = _jpeg(**options)
    assert decodable(jpeg, 10) is jpeg  # also if it is larger than the network's picture


def test_damaged_exif_data_turn_nothing():
    jpeg = _jpeg(exif=_turned(6))
    place = jpeg.index(b"Exif\0\0") + 6
    damaged = jpeg[:place] + b"\xff" * 8 + jpeg[place + 8 :]
    assert decodable(damaged, 100) is damaged


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (8, lambda pixels: np.rot90(pixels, 1)),
    ],
)
def test_a_jpeg_is_turned_as_its_exif_orientation_says(orientation, turned):
    jpeg = _jpeg(exif=_turned(orientation))
    expected = turned(pixels_of(jpeg))
    png = decodable(jpeg, 100)
    assert png.startswith(b"\x89PNG")
    assert np.array_equal(pixels_of(png), expected)
    assert not Image.open(io.BytesIO(png)).getexif()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {})],
)
def test_other_formats_keep_their_pixels(kind, options):
    assert np.array_equal(pixels_of(decodable(encoded(PIXELS, kind, **options), 30)), PIXELS)


def test_only_the_sides_that_are_too_long_shrink():
    pixels = np.full([10, 400, 3], 77, np.uint8)
    pixels[:, 200:] = 133
    shrunk = pixels_of(decodable(encoded(pixels, "PNG"), 100))
    assert shrunk.shape == (10, 100, 3)
    assert (shrunk[:, :49] == 77).all() and (shrunk[:, 51:] == 133).all()


def test_transparency_is_white():
    pixels = np.concatenate([PIXELS, np.zeros([20, 30, 1], np.uint8)], axis=2)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[0, 1] = (0, 100, 200, 51)  # 20% of it on white
    png = pixels_of(decodable(encoded(pixels, "PNG"), 30))
    assert png[0, 0].tolist() == [10, 20, 30]
    assert png[0, 1].tolist() == [204, 224, 244]
    assert (png[1:] == 255).all()


def test_a_palette_with_a_transparent_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 4, 5, 6])
    image.putpixel((1, 0), 1)
    file = io.BytesIO()
    image.save(file, "GIF", transparency=1)
    assert pixels_of(decodable(file.getvalue(), 9)).tolist() == [[[1, 2, 3], [255, 255, 255]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 65535, 257 * 100]], np.uint16), [0, 255, 100]),
        (np.array([[0, 1, 0.2]], np.float32), [0, 255, 51]),
        (np.array([[-5, 5, 0]], np.float32), [0, 255, 128]),
    ],
)
def test_pixels_of_more_than_8_bits(values, expected):
    png = pixels_of(decodable(encoded(values, "TIFF"), 9))
    assert png[0, :, 0].tolist() == expected and (png[..., :1] == png).all()


def test_grey_and_cmyk():
    grey = encoded(PIXELS[..., 0], "PNG")
    assert (pixels_of(decodable(grey, 99)) == PIXELS[..., :1]).all()
    file = io.BytesIO()
    Image.new("CMYK", (3, 3)).save(file, "TIFF")
    assert (pixels_of(decodable(file.getvalue(), 99)) == 255).all()


def _png_header(width, height):
    """A small PNG whose header claims another size."""
    png = bytearray(encoded(PIXELS, "PNG"))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(PictureError, match="claims too many pixels"):
        decodable(_png_header(20_000, 20_000), 100)
    with pytest.raises(PictureError, match="claims 12000 x 12000 pixels; at most 134,217,728"):
        decodable(_png_header(12_000, 12_000), 100)
    jpeg = bytearray(_jpeg())
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 20_000, 20_000)
    with pytest.raises(PictureError, match="claims 20000 x 20000 pixels"):
        decodable(bytes(jpeg), 100)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the picture is empty"),
        (b"<html>not found</html>", "starts with 3c 68 74 6d 6c 3e 6e 6f"),
        (encoded(PIXELS, "EPS"), "EPS files are not read: that would run a program"),
        (_jpeg()[:-30], "cut short"),
        (b"\xff\xd8\xff", "the JPEG ends within its headers"),
        (encoded(PIXELS, "PNG")[:100], "cannot be decoded"),
        (encoded(PIXELS, "TIFF")[:400], "cannot be decoded"),
        (encoded(PIXELS, "WEBP")[:100], "it is no picture of a format|cannot be decoded"),
    ],
    ids=["empty", "html", "eps", "jpeg", "jpeg_mark", "png", "tiff", "webp"],
)
def test_what_is_no_picture_is_refused_with_a_reason(data, message):
    with pytest.raises(PictureError, match=message):
        decodable(data, 100)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_random_damage_gives_pixels_or_a_reason(kind):
    rng, whole = np.random.default_rng(1), encoded(PIXELS, kind)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(0, 256)
        try:
            assert decodable(bytes(data), 40).startswith(b"\x89PNG")
        except PictureError:
            refused += 1
    assert refused
