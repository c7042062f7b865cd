"""The random augmentations of training pictures, by name; importable without TensorFlow."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A combination of augmentations.

    Attributes:
      flip: mirror half of the pictures.
      shift: also move each picture by up to a tenth of its side; only with `flip`.
    """

    flip: bool = False
    shift: bool = False


AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "flip_shift": Augmentation(flip=True, shift=True),
}
