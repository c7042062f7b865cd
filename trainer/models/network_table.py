"""The networks by name, importable without TensorFlow. To add a network, add it to `MODELS`.

The study does not state the dropout rate or the activation of the two dense layers (here ReLU).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# The parts of a pretrained network that can be trained.
PARTS = ("head", "top_blocks", "all")
# What BatchNorms do: normalise by each batch and learn, or by their stored statistics and stay.
BATCH_NORMS = ("train", "frozen")

_DROPOUT = 0.2
_BODIES = "trainer.models.bodies:"


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One network.

    Attributes:
      body: `module:function` that builds its layers: (scaled pictures [b, s, s, 3], dropout rate,
        **body_settings) -> input of the last dense layer.
      min_image_size: smallest width and height, in pixels, that its layers do not shrink to
        nothing.
      dropout: default dropout rate; None for a network without dropout.
      input_range: the numbers that the pixel values 0 and 255 become.
      default_weights: `imagenet`, or `none` for a network without a pretrained part.
      body_settings: further arguments of `body`.
    """

    body: str
    min_image_size: int
    dropout: float | None = _DROPOUT
    input_range: tuple[float, float] = (0.0, 1.0)
    default_weights: str = "none"
    body_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def pretrained(self) -> bool:
        return self.default_weights != "none"


def _study(
    *convolutions: tuple[int, int, int], dense: tuple[int, int], min_image_size: int
) -> ModelEntry:
    """One of the study's own networks; each convolution is (filters, kernel size, stride)."""
    settings = {"convolutions": convolutions, "dense": dense}
    return ModelEntry(_BODIES + "study_body", min_image_size, body_settings=settings)


_CNN = _study((100, 4, 1), (80, 2, 1), (60, 2, 1), dense=(40, 20), min_image_size=17)

MODELS: dict[str, ModelEntry] = {
    "cnn": _CNN,
    "cnn_small": _study((64, 4, 1), (32, 2, 1), dense=(20, 10), min_image_size=9),
    "inception": ModelEntry(
        _BODIES + "inception_body",
        75,
        dropout=0.0,
        input_range=(-1.0, 1.0),
        default_weights="imagenet",
    ),
    "logistic": ModelEntry(_BODIES + "logistic_body", 1, dropout=None),
    "solution1_1": _study((80, 4, 2), (60, 2, 1), dense=(40, 20), min_image_size=14),
    "solution1_2": _CNN,
}
