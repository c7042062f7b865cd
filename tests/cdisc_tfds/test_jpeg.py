"""Headers of pictures: what decodes is taken, what does not is named."""

import io

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cdisc_tfds.jpeg import MAX_PIXELS, jpeg_fault
from tests.conftest import jpeg


def saved(mode="RGB", size=(9, 7), **options):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        saved(),
        saved("L"),
        saved("CMYK"),
        saved(progressive=True),
        saved(optimize=True, quality=100, subsampling=0),
        saved(exif=b"Exif\x00\x00" + bytes(500)),
        saved(size=(180, 180)) + bytes(20),  # padded
        saved(comment=b"\xff\xd9"),
    ],
    ids=["rgb", "grey", "cmyk", "progressive", "optimized", "exif", "padded", "comment"],
)
def test_what_decodes(data):
    assert jpeg_fault(data) is None
    assert tf.io.decode_jpeg(data, channels=3).shape[2] == 3


def frame(precision=8, height=7, width=9, components=3, marker=0xC0):
    """A picture whose frame header is as given."""
    data = bytearray(saved())
    at = data.index(b"\xff\xc0")
    data[at + 1] = marker
    data[at + 4 : at + 10] = bytes(
        [precision, height >> 8, height & 255, width >> 8, width & 255, components]
    )
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "the picture is empty"),
        (b"GIF89a", "the picture is not a JPEG: it starts with 47 49 46, not with ff d8 ff"),
        (b"\xff\xd8", "the picture is not a JPEG: it starts with ff d8, not with ff d8 ff"),
        (saved()[:10], "the JPEG ends within its headers"),
        (saved()[: saved().index(b"\xff\xc0") + 6], "the JPEG ends within its headers"),
        (saved()[:-2], "the JPEG has no end marker (ff d9): it was cut short"),
        (
            saved()[: len(saved()) // 2 + 250],
            "the JPEG has no end marker (ff d9): it was cut short",
        ),
        (
            b"\xff\xd8\xff\xe0\x00\x04ab" + bytes(9),
            "the JPEG has no marker at byte 8, where a segment must start",
        ),
        (
            b"\xff\xd8\xff\xda" + bytes(9) + b"\xff\xd9",
            "the JPEG has no frame header before its pixels",
        ),
        (
            frame(marker=0xC3),
            "the JPEG is of a kind that common decoders do not read (SOF3)",
        ),
        (frame(precision=12), "the JPEG has 3 components of 12 bits, not 1, 3 or 4 of 8"),
        (frame(components=2), "the JPEG has 2 components of 8 bits, not 1, 3 or 4 of 8"),
        (frame(width=0), f"the JPEG claims 0 x 7 pixels; from 1 to {MAX_PIXELS} can be read"),
        (
            frame(width=65535, height=65535),
            f"the JPEG claims 65535 x 65535 pixels; from 1 to {MAX_PIXELS} can be read",
        ),
    ],
)
def test_what_does_not(data, fault):
    assert jpeg_fault(data) == fault


def test_every_real_picture_is_taken(cdiscount_files):
    from cdisc_tfds.bson_file import read_documents

    for _, _, document in read_documents(cdiscount_files / "train_example.bson"):
        assert all(jpeg_fault(entry["picture"]) is None for entry in document["imgs"])


@given(st.binary(max_size=400) | st.binary(max_size=60).map(lambda tail: b"\xff\xd8\xff" + tail))
@settings(deadline=None)
def test_any_bytes(data):
    fault = jpeg_fault(data)
    assert fault is None or fault


@given(st.integers(0, len(jpeg()) - 1))
@settings(deadline=None)
def test_no_picture_that_is_cut_short_is_taken(length):
    assert jpeg_fault(jpeg()[:length]) is not None
