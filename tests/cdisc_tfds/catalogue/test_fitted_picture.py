"""Pictures of any format become JPEGs that fit; those that fit already stay byte for byte."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.catalogue.fitted_picture import fitted_jpeg
from cdisc_tfds.jpeg import jpeg_fault
from cdisc_tfds.picture_file import PictureError


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def decoded(data):
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG" and image.mode == "RGB" and jpeg_fault(data) is None
    return image


def halves(size=(40, 20)):
    """Left half red, right half blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image


def near(pixel, colour, tolerance=12):
    return np.abs(np.array(pixel, int) - np.array(colour)).max() <= tolerance


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": oriented(1)}])
def test_a_jpeg_that_fits_stays_byte_for_byte(mode, options):
    data = encoded(halves().convert(mode), "JPEG", **options)
    assert fitted_jpeg(data, 40) is data
    assert fitted_jpeg(data, 39) != data


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 200), (180, 90)), ((100, 900), (20, 180)), ((181, 181), (180, 180)), ((5000, 3), None)],
)
def test_large_pictures_shrink_and_keep_their_shape(size, expected):
    image = decoded(fitted_jpeg(encoded(halves(size), "JPEG"), 180))
    assert image.size == (expected or (180, 1))
    if expected:
        assert near(image.getpixel((2, 2)), (255, 0, 0))
        assert near(image.getpixel((image.width - 3, image.height - 3)), (0, 0, 255))


def test_small_pictures_do_not_grow():
    assert decoded(fitted_jpeg(encoded(halves((30, 10)), "PNG"), 180)).size == (30, 10)


# The size of a 40 x 20 picture after it was turned upright, and a point in what was its left half.
TURNED = {
    2: ((40, 20), (35, 10)),
    3: ((40, 20), (35, 10)),
    4: ((40, 20), (5, 10)),
    5: ((20, 40), (10, 5)),
    6: ((20, 40), (10, 5)),
    7: ((20, 40), (10, 35)),
    8: ((20, 40), (10, 35)),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_upright(orientation, format):
    data = encoded(halves(), format, exif=oriented(orientation))
    size, inside = TURNED[orientation]
    image = decoded(fitted_jpeg(data, 180))
    assert image.size == size and near(image.getpixel(inside), (255, 0, 0), 40)
    assert image.getexif().get(0x0112) is None  # else a viewer would turn it again


def test_a_jpeg_that_would_fit_only_lying_down_is_turned():
    data = encoded(halves((40, 20)), "JPEG", exif=oriented(6))
    assert decoded(fitted_jpeg(data, 30)).size == (15, 30)


def test_damaged_exif_is_no_orientation():
    data = encoded(halves(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    assert fitted_jpeg(data, 180) == data


def see_through(mode):
    image = halves().convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 20, 20))  # the red half is invisible
    image.putalpha(alpha)
    return image.convert(mode)


@pytest.mark.parametrize(("mode", "format"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP")])
def test_transparency_is_white(mode, format):
    image = decoded(fitted_jpeg(encoded(see_through(mode), format), 180))
    assert near(image.getpixel((5, 10)), (255, 255, 255))
    blue = (29, 29, 29) if mode == "LA" else (0, 0, 255)
    assert near(image.getpixel((35, 10)), blue)


def test_transparent_colour_of_a_palette():
    palette = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    red = palette.getpixel((0, 0))
    for format in ("PNG", "GIF"):
        image = decoded(fitted_jpeg(encoded(palette, format, transparency=red), 180))
        assert near(image.getpixel((5, 10)), (255, 255, 255))
        assert near(image.getpixel((35, 10)), (0, 0, 255))


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "TGA"])
def test_formats(format):
    image = decoded(fitted_jpeg(encoded(halves(), format), 180))
    assert near(image.getpixel((5, 10)), (255, 0, 0), 20)


def test_cmyk_becomes_rgb():
    data = encoded(halves().convert("CMYK"), "JPEG")
    image = decoded(fitted_jpeg(data, 180))
    assert near(image.getpixel((5, 10)), (255, 0, 0), 20)


@pytest.mark.parametrize(
    ("pixels", "format", "expected"),
    [
        (np.full((20, 20), 65535 // 2, np.uint16), "PNG", 127),
        (np.full((20, 20), 65535, np.uint16), "TIFF", 255),
        (np.full((20, 20), 0.5, np.float32), "TIFF", 128),
        (np.linspace(-50, 1e6, 400, dtype=np.float32).reshape(20, 20), "TIFF", None),
    ],
)
def test_more_than_eight_bits(pixels, format, expected):
    image = decoded(fitted_jpeg(encoded(Image.fromarray(pixels), format), 180))
    if expected is not None:
        assert near(image.getpixel((10, 10)), (expected,) * 3, 2)
    else:
        assert near(image.getpixel((0, 0)), (0,) * 3) and near(image.getpixel((19, 19)), (255,) * 3)


def png_chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_claiming(width, height):
    """A PNG of few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg_claiming(width, height):
    data = bytearray(encoded(halves(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_claiming, jpeg_claiming])
@pytest.mark.parametrize("size", [(12_000, 12_000), (20_000, 20_000)])
def test_a_bomb_is_refused_by_its_header(bomb, size, monkeypatch):
    data = bomb(*size)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="claims"):
        fitted_jpeg(data, 180)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_picture_that_was_cut_short(format, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(PictureError):
        fitted_jpeg(data[: int(len(data) * share)], 180)


def test_a_jpeg_cut_short_before_an_end_marker():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG")
    with pytest.raises(PictureError, match="cut short"):
        fitted_jpeg(data[: len(data) // 2], 180)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the picture is empty"),
        (
            b"<html>not found</html>",
            "it is no picture of a format that is read, .* starts with 3c 68 74",
        ),
        (b"\xff\xd8\xff", "the JPEG ends within its headers"),
    ],
)
def test_what_is_no_picture(data, reason):
    with pytest.raises(PictureError, match=reason):
        fitted_jpeg(data, 180)


def test_postscript_is_never_run():
    data = encoded(halves(), "EPS")
    with pytest.raises(PictureError, match="EPS files are not read: that would run a program"):
        fitted_jpeg(data, 180)


def test_memory_that_is_short_is_no_fault_of_the_picture(monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "thumbnail", short)
    with pytest.raises(MemoryError):
        fitted_jpeg(encoded(halves(), "PNG"), 180)
