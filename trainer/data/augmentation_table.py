"""The random changes to training pictures, by name; importable without TensorFlow."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to a picture.

    Attributes:
      flip: mirror half of the pictures.
      shift: also move each by up to a tenth of its side; only together with `flip`.
    """

    flip: bool = False
    shift: bool = False


AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "flip_shift": Augmentation(flip=True, shift=True),
}
