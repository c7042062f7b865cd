"""The image classifiers of keras.applications as bases, with Keras's own files of weights."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import numpy as np

from trainer.models.fused_batch_norm import fuse_batch_norms
from trainer.models.model_entry import BaseEntry
from trainer.models.weight_files import (
    download_timeout,
    given_path,
    keras_home,
    load_file,
    misfit,
    missing_download,
)

# What the files of EfficientNet-B0 to B7 hold: the "variance" is the deviation, which a layer that
# Keras adds for them makes up for (https://github.com/tensorflow/tensorflow/issues/49930).
_STORED_MEAN, _STORED_VARIANCE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Of the copy that receives a file: the size whose files the table names. Without a size,
# NASNetLarge has fewer layers than its file.
_SOURCE_SHAPE = (224, 224, 3)


def build_base(base: BaseEntry, image_size: int | None) -> keras.Model:
    """The application without its top and its own scaling of pixels.

    Args:
      base: whose `kind` is a class of keras.applications.
      image_size: width and height of the pictures, in pixels; None: any.

    Returns:
      Scaled pictures [b, s, s, 3] -> the last feature map [b, h, w, c].
    """
    network = _network(base, weights=None, input_shape=(image_size, image_size, 3))
    return fuse_batch_norms(_without_scaling(base, network))


def weights_path(base: BaseEntry, weights: str) -> pathlib.Path | None:
    """The file that `--weights` names; None for `imagenet`, which Keras finds or downloads itself.

    Raises:
      WeightsError: if there is no such file.
    """
    return None if weights == "imagenet" else given_path(weights)


def load_weights(network: keras.Model, base: BaseEntry, path: pathlib.Path | None) -> None:
    """Loads a file of the application without its top, or ImageNet's weights, into `network`.

    Another copy of the application receives the file and passes its weights on. Which file Keras
    takes for MobileNet depends on the size of the pictures, and with `weights="imagenet"`,
    EfficientNet-B0 to B7 have a layer more.

    Args:
      network: what `build_base` built.
      base: its entry.
      path: a .weights.h5, .h5 or .keras file; None: ImageNet's weights.

    Raises:
      WeightsError: if the file is damaged or belongs to another network, or cannot be downloaded.
    """
    if path is None:
        source = _imagenet_network(base)
    else:
        source = _network(base, weights=None, input_shape=_SOURCE_SHAPE)
        load_file(source, path, _owner(base))
        _require_stored_scaling(base, source, path)
    network.set_weights(_without_scaling(base, source).get_weights())


def _network(base: BaseEntry, **arguments: Any) -> keras.Model:
    return getattr(keras.applications, base.kind)(include_top=False, **arguments)


def _imagenet_network(base: BaseEntry) -> keras.Model:
    try:
        with download_timeout():
            return _network(base, weights="imagenet", input_shape=_SOURCE_SHAPE)
    except Exception as error:  # Keras raises plain `Exception` when a download fails
        path = keras_home() / "models" / base.weights_file
        raise missing_download(path, error, base.weights_source) from error


def _without_scaling(base: BaseEntry, network: keras.Model) -> keras.Model:
    """The network from its first layer after Keras's scaling of pixels; shares the layers.

    `scale` does the same in float32. Then `--input_range` means the same for every network.
    """
    pictures = network.get_layer(base.first_layer).input if base.first_layer else network.input
    return keras.Model(pictures, network.output, name="base")


def _require_stored_scaling(base: BaseEntry, source: keras.Model, path: pathlib.Path) -> None:
    """Raises WeightsError if a file of EfficientNet-B0 to B7 scales pixels in a way of its own."""
    for layer in source.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, variance, _ = layer.get_weights()
            if not (
                np.allclose(mean, _STORED_MEAN, atol=1e-3)
                and np.allclose(variance, _STORED_VARIANCE, atol=1e-3)
            ):
                raise misfit(
                    path,
                    _owner(base),
                    "its Normalization is not that of ImageNet's weights; train from weights that "
                    "began with them",
                )


def _owner(base: BaseEntry) -> str:
    return f"keras.applications.{base.kind}(include_top=False)"
