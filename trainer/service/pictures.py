"""The bytes that a client sends as pictures the networks take."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
import PIL.ImageOps
import tensorflow as tf

from cdisc_tfds.strict_loading import load_whole
from trainer.data.tf_decoding import decode_jpeg
from trainer.service.refusals import RefusalError, too_large, wrong, wrong_media

# What phones and browsers produce; Pillow reads more, but each decoder is a risk.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
_JPEG = b"\xff\xd8\xff"
_UPRIGHT = 1
_ORIENTATION = 0x0112  # the EXIF tag
_WHITE = (255, 255, 255)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A file that a client sent.

    Attributes:
      data: its bytes.
      where: its place in the request, for messages.
    """

    data: bytes
    where: str


class PictureDecoder:
    """Decodes JPEGs to the sizes that networks take, as training and the SavedModel do.

    Args:
      image_sizes: the sizes, in pixels.
      max_pixels: what a picture's header may declare.
    """

    def __init__(self, image_sizes: Sequence[int], max_pixels: int):
        self._sizes, self._max_pixels = tuple(image_sizes), max_pixels

        def decode(jpeg: tf.Tensor) -> list[tf.Tensor]:
            # GPUs hold no strings.
            with tf.device("/cpu:0"):
                return [decode_jpeg(jpeg, size) for size in self._sizes]

        self._decode = tf.function(decode).get_concrete_function(tf.TensorSpec([], tf.string))

    def decode(self, picture: Picture) -> Mapping[int, np.ndarray]:
        """Decodes a JPEG. Threads may call it at the same time.

        Returns:
          size -> uint8 [size, size, 3].

        Raises:
          RefusalError: if the bytes are no JPEG, or its header declares too many pixels.
        """
        jpeg = tf.constant(picture.data)
        if not picture.data.startswith(_JPEG):  # else libjpeg writes a line to the log
            raise _no_jpeg(picture)
        try:
            # Reads only the header; decoding allocates the memory for the pixels.
            height, width, _ = tf.image.extract_jpeg_shape(jpeg).numpy().tolist()
            _require_pixels(picture.where, width, height, self._max_pixels)
            images = self._decode(jpeg)
        except tf.errors.InvalidArgumentError:
            raise _no_jpeg(picture) from None
        return {size: image.numpy() for size, image in zip(self._sizes, images, strict=True)}


def as_jpeg(picture: Picture, max_pixels: int) -> Picture:
    """A photo of any of FORMATS as a JPEG, upright.

    A JPEG that lies as it should be seen stays byte for byte. Others are turned as their EXIF data
    say, put on white where they are transparent, and written as JPEG.

    Raises:
      RefusalError: if it is of another format, damaged, or of too many pixels.
    """
    try:
        with PIL.Image.open(io.BytesIO(picture.data), formats=FORMATS) as image:
            _require_pixels(picture.where, *image.size, max_pixels)
            turned = image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT
            if image.format == "JPEG" and not turned:
                return picture
            load_whole(image)
            file = io.BytesIO()
            _on_white(PIL.ImageOps.exif_transpose(image)).save(
                file, "JPEG", quality=95, subsampling="4:4:4"
            )
    except RefusalError:
        raise
    except PIL.Image.DecompressionBombError:
        raise too_large(
            f"{picture.where} may have at most {max_pixels:,} pixels. Its header declares more. "
            "Send a smaller copy."
        ) from None
    except PIL.UnidentifiedImageError:
        raise wrong_media(
            f"{picture.where} must be a picture in one of the formats {', '.join(FORMATS)}. "
            "Received another kind of file. Phones can save HEIC photos as JPEG."
        ) from None
    # What Pillow's decoders raise for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise wrong(f"{picture.where} is damaged: {error}") from error
    return Picture(file.getvalue(), picture.where)


def _no_jpeg(picture: Picture) -> RefusalError:
    return wrong(
        f"{picture.where} must be a JPEG file. Its {len(picture.data):,} bytes cannot be decoded "
        f"as one; they start with {picture.data[:4].hex(' ')}."
    )


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = PIL.Image.new("RGB", image.size, _WHITE)
    white.paste(coloured, mask=coloured)
    return white


def _require_pixels(where: str, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise too_large(
            f"{where} may have at most {most:,} pixels. Received: {width:,} x {height:,}. Send a "
            "smaller copy."
        )
