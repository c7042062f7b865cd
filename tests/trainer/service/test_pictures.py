import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trainer.data.tf_decoding import decode_jpeg
from trainer.service.pictures import Picture, PictureDecoder
from trainer.service.refusals import RefusalError

PIXELS = 1 << 20


def file_of(image: Image.Image, kind: str, **options) -> Picture:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Picture(file.getvalue(), "picture 1")


def half_red(size=(40, 20)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    return image


def shown(picture: Picture, size: int = 40) -> np.ndarray:
    """The pixels of a photo, as a network gets them."""
    return PictureDecoder((size,), PIXELS).decode_photo(picture)[size].astype(int)


def refusal(function, *arguments) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        function(*arguments)
    return caught.value


def test_each_size_is_decoded_as_in_training():
    picture = file_of(half_red(), "JPEG")
    decoded = PictureDecoder((16, 24), PIXELS).decode(picture)
    assert list(decoded) == [16, 24]
    for size, pixels in decoded.items():
        np.testing.assert_array_equal(pixels, decode_jpeg(picture.data, size))


@pytest.mark.parametrize("data", [b"GIF89a", b"\xff\xd8\xff no picture", b"\xff"])
def test_other_bytes_are_refused(data):
    error = refusal(PictureDecoder((16,), PIXELS).decode, Picture(data, "instances[3]"))
    assert error.status == 400
    assert error.text == (
        f"instances[3] must be a JPEG file. Its {len(data)} bytes cannot be decoded as one; they "
        f"start with {data[:4].hex(' ')}."
    )


def test_a_truncated_jpeg_keeps_the_rows_it_has():
    noise = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
    whole = file_of(Image.fromarray(noise), "JPEG", quality=95)
    half = Picture(whole.data[: len(whole.data) * 2 // 3], "picture 1")
    top = PictureDecoder((64,), PIXELS).decode(half)[64][:16]
    np.testing.assert_array_equal(top, decode_jpeg(whole.data, 64)[:16])


def test_a_jpeg_of_too_many_pixels_is_refused_by_its_header():
    data = bytearray(file_of(half_red(), "JPEG").data)
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 20_000, 20_000)
    bomb, rule = Picture(bytes(data), "picture 2"), "picture 2 may have at most 1,048,576 pixels."
    error = refusal(PictureDecoder((16,), PIXELS).decode, bomb)
    assert error.status == 413
    assert error.text == f"{rule} Received: 20,000 x 20,000. Send a smaller copy."
    assert refusal(shown, bomb).text == error.text


def test_a_png_bomb_is_refused_by_its_header():
    """400 million pixels in some bytes."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT" + bytes(4)
    error = refusal(shown, Picture(data, "picture 1"))
    assert error.status == 413
    assert error.text.startswith("picture 1 may have at most 1,048,576 pixels, but its header cl")


def test_a_picture_above_the_service_s_own_limit_is_refused():
    large = file_of(Image.new("RGB", (1025, 1024)), "PNG")
    error = refusal(shown, large)
    assert error.status == 413
    assert error.text == (
        "picture 1 may have at most 1,048,576 pixels, but its header claims 1025 x 1024 pixels; at "
        "most 1,048,576 are decoded. Send a smaller copy."
    )


def test_a_jpeg_that_is_upright_is_decoded_as_it_is():
    picture = file_of(half_red(), "JPEG", quality=40)
    np.testing.assert_array_equal(shown(picture), decode_jpeg(picture.data, 40))


def test_a_photo_that_lies_on_its_side_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # the phone was held upright: turn by 90 degrees to the right
    pixels = shown(file_of(half_red((40, 40)), "JPEG", exif=exif, quality=95))
    assert abs(pixels[5, 10] - [255, 0, 0]).max() < 10  # what was left is on top
    assert abs(pixels[35, 10] - [0, 0, 255]).max() < 10


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
def test_other_formats_keep_their_pixels(kind):
    picture = file_of(half_red((40, 40)), kind)
    pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))
    np.testing.assert_array_equal(shown(picture), pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode):
    clear = Image.new("RGBA", (16, 16), (10, 20, 30, 0)).convert(mode)
    options = {"transparency": 0} if mode == "P" else {}
    assert shown(file_of(clear, "PNG", **options), 16).min() == 255


def test_what_is_no_picture_is_refused():
    error = refusal(shown, Picture(b"ftypheic" * 9, "picture 1 (a.heic)"))
    assert error.status == 415
    assert "picture 1 (a.heic) must be a picture in one of the formats JPEG, PNG" in error.text
    assert "HEIC photos as JPEG" in error.text
    # Pillow reads it, but nobody's phone writes it.
    assert refusal(shown, file_of(half_red(), "TIFF")).status == 415


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_damaged_file_is_refused(kind):
    whole = file_of(half_red((200, 200)), kind).data
    damaged = Picture(whole[: len(whole) // 2], "picture 3")
    error = refusal(shown, damaged)
    assert error.status in (400, 415) and error.text.startswith("picture 3 ")
