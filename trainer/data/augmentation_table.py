"""The random changes to training pictures; importable without TensorFlow."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A combination of random changes; the default changes nothing.

    Attributes:
      flip: mirror half of the pictures.
      shift: largest move of a picture down or right, up or left, as a share of its side.
      zoom: (least, most) factor that a picture is enlarged by. A random part of an enlarged picture
        is seen; a reduced one is at a random place on white.
      rotate: largest rotation, in degrees.
      colour: strength of changes to brightness, contrast and saturation: each is multiplied by a
        factor between 1 - colour and 1 + colour.
      rand_augment: number of changes per picture that RandAugment draws.
      erase: share of the pictures in which a rectangle is erased.
      mixup, cutmix: alpha of the Beta distribution of the shares in which two pictures are mixed;
        0: none. With both, each picture gets one of the two.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: tuple[float, float] | None = None
    rotate: float = 0.0
    colour: float = 0.0
    rand_augment: int = 0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed, so that a picture has two labels."""
        return self.mixup > 0 or self.cutmix > 0


# The values of --augment; other settings add to them.
AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "flip_shift": Augmentation(flip=True, shift=0.1),
}
