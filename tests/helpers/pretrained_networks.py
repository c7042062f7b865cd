"""The pretrained networks of the table: quick ones, and those that only `make torture` builds."""

from __future__ import annotations

import keras
import pytest

from trainer.models.network_table import MODELS

# The fastest of each kind of scaling, of files and of group ends.
_QUICK = (
    *("efficientnet_lite0", "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny"),
    *("densenet121", "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "resnet50_v2", "vgg16"),
    "xception",
)

# Those of keras.applications.
APPLICATIONS = [
    name for name, entry in MODELS.items() if entry.base and "applications" in entry.base.module
]


def each(names: list[str] | None = None) -> pytest.MarkDecorator:
    """Parametrizes a test by `name`: the pretrained networks, or `names`."""
    chosen = names or [name for name, entry in MODELS.items() if entry.pretrained]
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=() if name in _QUICK else pytest.mark.networks)
            for name in chosen
        ],
    )


def is_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
