"""The networks by name, importable without TensorFlow. To add a network, add it to `MODELS`.

The study does not state the dropout rate or the activation of the two dense layers (here ReLU).
"""

from __future__ import annotations

from trainer.models.applications_table import APPLICATIONS
from trainer.models.efficientnet_lite_table import EFFICIENTNET_LITES
from trainer.models.model_entry import BaseEntry, ModelEntry

# The parts of a pretrained network that can be trained.
PARTS = ("head", "top_blocks", "all")
# What BatchNorms do: normalise by each batch and learn, or by their stored statistics and stay.
BATCH_NORMS = ("train", "frozen")

# What errors name to someone who looks for a pretrained network.
PRETRAINED_EXAMPLE = "efficientnet_lite2"

_BODIES = "trainer.models.bodies:"


def _study(
    *convolutions: tuple[int, int, int], dense: tuple[int, int], min_image_size: int
) -> ModelEntry:
    """One of the study's own networks; each convolution is (filters, kernel size, stride)."""
    settings = {"convolutions": convolutions, "dense": dense}
    return ModelEntry(_BODIES + "study_body", min_image_size, body_settings=settings)


_CNN = _study((100, 4, 1), (80, 2, 1), (60, 2, 1), dense=(40, 20), min_image_size=17)

_INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_INCEPTION = BaseEntry(
    "trainer.models.inception",
    "InceptionV3",
    _INCEPTION_FILE,
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/" + _INCEPTION_FILE,
    group_ends=r"mixed\d+",
    range_in_weights=True,
)

MODELS: dict[str, ModelEntry] = {
    "cnn": _CNN,
    "cnn_small": _study((64, 4, 1), (32, 2, 1), dense=(20, 10), min_image_size=9),
    "inception": ModelEntry(
        _BODIES + "inception_body",
        75,
        dropout=0.0,
        pixels=(-1.0, 1.0),
        base=_INCEPTION,
        body_settings={"base": _INCEPTION},
    ),
    "logistic": ModelEntry(_BODIES + "logistic_body", 1, dropout=None),
    "solution1_1": _study((80, 4, 2), (60, 2, 1), dense=(40, 20), min_image_size=14),
    "solution1_2": _CNN,
    **EFFICIENTNET_LITES,
    **APPLICATIONS,
}
