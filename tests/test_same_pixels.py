"""The catalogue, `trainer.classify` and the service make the same pixels of a photo."""

import io

import numpy as np
import pytest
from PIL import Image

from cdisc_tfds.catalogue.fitted_picture import QUALITY, fitted_jpeg
from cdisc_tfds.photo_products import PhotoProduct
from tests.helpers.photo_files import pixels_of
from tests.helpers.small_data import SmallData
from trainer.data.input_pipeline import inference_dataset
from trainer.data.photo_split import photo_parts
from trainer.data.tf_decoding import decode_jpeg
from trainer.service.pictures import Picture, PictureDecoder

SIZE = 32
RAMP = np.arange(SIZE, dtype=np.uint8)
COLOURS = np.stack(np.broadcast_arrays(RAMP[:, None] * 7, RAMP[None] * 5, 255 - RAMP * 3), axis=2)


def image(mode="RGB", scale=1):
    """A picture without symmetry; what has transparency has all degrees of it."""
    pixels = COLOURS.repeat(scale, axis=0).repeat(scale, axis=1)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 + 100)
    found = Image.fromarray(pixels)
    if mode in ("RGBA", "LA"):
        found.putalpha(Image.fromarray(pixels[..., 1]))
    if mode == "P":
        return found.quantize(16)
    return found.convert(mode)


def file(picture, kind, orientation=1, **options):
    if orientation != 1:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    made = io.BytesIO()
    picture.save(made, kind, **options)
    return made.getvalue()


KEPT = {  # by all three, byte for byte
    "JPEG": file(image(), "JPEG"),
    "progressive JPEG": file(image(), "JPEG", progressive=True),
    "grey JPEG": file(image("L"), "JPEG"),
}
CHANGED = {
    "turned JPEG": file(image(), "JPEG", orientation=6),
    "mirrored progressive JPEG": file(image(), "JPEG", orientation=5, progressive=True),
    "turned CMYK JPEG": file(image("CMYK"), "JPEG", orientation=8),
    "turned PNG": file(image(), "PNG", orientation=3),
    "RGBA": file(image("RGBA"), "PNG"),
    "grey with alpha": file(image("LA"), "PNG"),
    "RGBA in WebP": file(image("RGBA"), "WEBP", lossless=True),
    "palette": file(image("P"), "PNG"),
    "palette with transparency": file(image("P"), "PNG", transparency=3),
    "GIF with transparency": file(image("P"), "GIF", transparency=3),
    "16-bit grey": file(image("I;16"), "PNG"),
    "1 bit": file(image("1"), "PNG"),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Gives the pixels that networks of SIZE see of a photo: by `classify`, and in the service."""
    folder = tmp_path_factory.mktemp("photos")
    categories = SmallData(folder).categories
    decoder = PictureDecoder((SIZE,), 1 << 20)

    def pixels(data):
        photo = folder / "photo"
        photo.write_bytes(data)
        product = PhotoProduct("1", (str(photo),))
        with photo_parts([product], categories, SIZE) as parts:
            (part,) = parts
            batches = inference_dataset(part.split, batch_size=2, image_size=SIZE)
            ((by_classify,),) = [batch["inputs"].numpy() for batch in batches]
        return by_classify, decoder.decode_photo(Picture(data, "picture 1"))[SIZE]

    return pixels


@pytest.mark.parametrize("name", KEPT)
def test_jpegs_that_fit(name, seen):
    by_classify, in_service = seen(KEPT[name])
    assert np.array_equal(by_classify, in_service)
    assert np.array_equal(by_classify, decode_jpeg(fitted_jpeg(KEPT[name], SIZE), SIZE))
    assert np.array_equal(by_classify, pixels_of(KEPT[name]))


@pytest.mark.parametrize("name", CHANGED)
def test_pictures_that_change(name, seen):
    by_classify, in_service = seen(CHANGED[name])
    assert np.array_equal(by_classify, in_service)
    # The catalogue's JPEG is made of the same pixels.
    as_jpeg = file(Image.fromarray(by_classify), "JPEG", quality=QUALITY)
    assert fitted_jpeg(CHANGED[name], SIZE) == as_jpeg


def test_a_cmyk_jpeg_that_stays(seen):
    """TensorFlow decodes it for the two, Pillow for the catalogue."""
    data = file(image("CMYK"), "JPEG")
    by_classify, in_service = seen(data)
    assert np.array_equal(by_classify, in_service)
    assert np.abs(by_classify.astype(int) - pixels_of(data)).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_large_pictures_shrink_alike(mode, seen):
    by_classify, in_service = seen(file(image(mode, scale=8), "PNG"))
    assert np.array_equal(by_classify, in_service)
    # The small picture that each large one repeats: filters mix pixels at the edges of squares.
    small, _ = seen(file(image(mode), "PNG"))
    fitted = pixels_of(fitted_jpeg(file(image(mode, scale=8), "PNG"), SIZE)).astype(int)
    for found in (by_classify.astype(int), fitted):
        assert np.abs(found - small).mean() < 4
