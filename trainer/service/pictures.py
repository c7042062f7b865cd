"""The bytes that a client sends as pictures the networks take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from cdisc_tfds.photo import decodable
from cdisc_tfds.picture_file import (
    JPEG_MARK,
    PictureError,
    TooManyPixelsError,
    UnknownFormatError,
)
from trainer.data.tf_decoding import decode_jpeg
from trainer.service.refusals import RefusalError, too_large, wrong, wrong_media

# What phones and browsers produce; Pillow reads more, but each decoder is a risk.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


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
    """Decodes pictures to the sizes that networks take, as training and the SavedModel do.

    Threads may call its methods at the same time.

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
        """Decodes a JPEG, as it lies in the file.

        Returns:
          size -> uint8 [size, size, 3].

        Raises:
          RefusalError: if the bytes are no JPEG, or its header declares too many pixels.
        """
        if not picture.data.startswith(JPEG_MARK):  # else libjpeg writes a line to the log
            raise _no_jpeg(picture)
        try:
            self._require_pixels(picture)
            return self._decoded(picture.data)
        except tf.errors.InvalidArgumentError:
            raise _no_jpeg(picture) from None

    def decode_photo(self, picture: Picture) -> Mapping[int, np.ndarray]:
        """Decodes a photo of any of FORMATS: upright and on white, as `trainer.classify` sees it.

        Returns:
          size -> uint8 [size, size, 3].

        Raises:
          RefusalError: if it is of another format, damaged or cut short, or of too many pixels.
        """
        try:
            if picture.data.startswith(JPEG_MARK):
                self._require_pixels(picture)
            data = decodable(picture.data, max(self._sizes), FORMATS, self._max_pixels)
            return self._decoded(data)
        except TooManyPixelsError as error:
            raise too_large(
                f"{picture.where} may have at most {self._max_pixels:,} pixels, but {error}. Send "
                "a smaller copy."
            ) from None
        except UnknownFormatError:
            raise wrong_media(
                f"{picture.where} must be a picture in one of the formats {', '.join(FORMATS)}. "
                "Received another kind of file. Phones can save HEIC photos as JPEG."
            ) from None
        except PictureError as error:
            raise wrong(f"{picture.where} is damaged: {error}.") from None
        except tf.errors.InvalidArgumentError:
            raise wrong(f"{picture.where} is damaged: its data cannot be decoded.") from None

    def _decoded(self, data: bytes) -> Mapping[int, np.ndarray]:
        """Raises InvalidArgumentError for damaged bytes."""
        images = self._decode(tf.constant(data))
        return {size: image.numpy() for size, image in zip(self._sizes, images, strict=True)}

    def _require_pixels(self, jpeg: Picture) -> None:
        """Reads only the header; decoding allocates the memory for the pixels.

        Raises:
          RefusalError: if it declares too many.
          InvalidArgumentError: if it is damaged.
        """
        height, width, _ = tf.image.extract_jpeg_shape(tf.constant(jpeg.data)).numpy().tolist()
        if width * height > self._max_pixels:
            raise too_large(
                f"{jpeg.where} may have at most {self._max_pixels:,} pixels. Received: "
                f"{width:,} x {height:,}. Send a smaller copy."
            )


def _no_jpeg(picture: Picture) -> RefusalError:
    return wrong(
        f"{picture.where} must be a JPEG file. Its {len(picture.data):,} bytes cannot be decoded "
        f"as one; they start with {picture.data[:4].hex(' ')}."
    )
