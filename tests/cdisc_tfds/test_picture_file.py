"""Files that cannot be read as pictures, and orientations that turn none."""

import io
import os

import pytest
from PIL import Image

from cdisc_tfds.picture_file import (
    PictureError,
    TooManyPixelsError,
    UnknownFormatError,
    is_turned,
    opened_picture,
    read_picture,
)


def encoded(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, kind, **options)
    return file.getvalue()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PictureError, match="there is no such file"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(PictureError, match="it is not a regular file"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # reading would wait for ever
    with pytest.raises(PictureError, match="it is not a regular file"):
        read_picture(tmp_path / "pipe")
    with open(tmp_path / "large", "wb") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(PictureError, match="has 268,435,457 bytes; at most 268,435,456"):
        read_picture(tmp_path / "large")
    with pytest.raises(PictureError, match=r"cannot be read \(.*null"):
        read_picture(f"{tmp_path}/\0")
    with pytest.raises(PictureError, match=r"cannot be read \(File name too long\)"):
        read_picture(tmp_path / ("x" * 300))
    (tmp_path / "a").write_bytes(b"abc")
    assert read_picture(tmp_path / "a") == b"abc"


def test_limits_of_who_opens_it():
    with opened_picture(encoded("PNG"), ("PNG",), 12) as image:
        assert image.size == (4, 3)
    with (
        pytest.raises(TooManyPixelsError, match="claims 4 x 3 pixels; at most 11 are decoded"),
        opened_picture(encoded("PNG"), None, 11),
    ):
        pytest.fail("opened")
    with (
        pytest.raises(UnknownFormatError, match="of a format that is read.*starts with 89 50 4e"),
        opened_picture(encoded("PNG"), ("GIF",)),
    ):
        pytest.fail("opened")


def test_memory_that_is_short_is_no_fault_of_the_picture():
    with pytest.raises(MemoryError), opened_picture(encoded("PNG")):
        raise MemoryError


@pytest.mark.parametrize(
    ("orientation", "turned"), [(0, False), (1, False), (2, True), (8, True), (9, False)]
)
def test_orientations_that_exist_turn(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with opened_picture(encoded("JPEG", exif=exif)) as image:
        assert is_turned(image) == turned
