"""Pictures made small, and rows of them."""

import io
import warnings

import pytest
from PIL import Image

from cdisc_tfds.pages.shots import Shot, shots
from cdisc_tfds.pages.thumbnail import SIDE, thumbnail
from tests.conftest import jpeg
from tests.helpers.html_checks import assert_well_formed
from tests.helpers.odd_data import LARGE


def opened(jpeg_file):
    return Image.open(io.BytesIO(jpeg_file))


def test_small_pictures_stay_byte_for_byte():
    for size in ((1, 1), (SIDE, SIDE), (7, SIDE)):
        assert thumbnail(jpeg(3, size)) == jpeg(3, size)


@pytest.mark.parametrize(
    ("size", "small"), [((360, 90), (180, 45)), ((181, 181), (180, 180)), ((30, 900), (6, 180))]
)
def test_large_pictures_are_reduced(size, small):
    image = opened(thumbnail(jpeg(3, size)))
    assert image.size == small
    assert image.getpixel((0, 0)) == pytest.approx((111, 17, 159), abs=4)  # shade 3


def test_small_pictures_in_large_files_are_written_again():
    padded = jpeg(3) + bytes(50_000)
    assert len(thumbnail(padded)) < 2_000


def test_pictures_in_cmyk_and_grey():
    for mode in ("CMYK", "L"):
        file = io.BytesIO()
        Image.new(mode, (400, 400)).save(file, "JPEG")
        assert opened(thumbnail(file.getvalue())).mode == "RGB"


def test_a_header_that_claims_very_many_pixels_is_decoded_small():
    bomb = bytearray(jpeg(1))
    place = bomb.index(b"\xff\xc0") + 5  # height and width
    bomb[place : place + 4] = b"\x2d\x00\x2d\x00"  # 11520 x 11520: 400 MB
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert opened(thumbnail(bytes(bomb))).size == (SIDE, SIDE)


def test_undecodable_pictures_say_so():
    cut = LARGE[: len(LARGE) // 2]
    for damaged in (b"", b"no JPEG", cut):
        assert thumbnail(damaged) is None
    page = shots([Shot(cut, "<i>")])
    assert "cannot be decoded" in page and "&lt;i&gt;" in page and "<img" not in page


def test_shots_carry_their_captions_and_classes():
    page = shots([Shot(jpeg(1), "one", "right"), Shot(None, "<two>", "wrong"), Shot(jpeg(2), "3")])
    assert_well_formed(page)
    assert page.count("<img") == 2 and page.count("no picture") == 1
    classes = [part.partition('"')[0] for part in page.split('<figure class="')[1:]]
    assert classes == ["right", "wrong", ""]
    assert "&lt;two&gt;" in page
