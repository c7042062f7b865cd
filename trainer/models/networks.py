"""Builds the networks of `network_table`: uint8 pictures [b, size, size, 3] to float32 logits.

The first layer scales the pixels to the range that the network expects. The logits are
[b, classes]; the loss and `with_probabilities` apply the softmax.
"""

from __future__ import annotations

import importlib
import pathlib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from trainer.models import inception
from trainer.models.layer_groups import base_of, set_part_trainable
from trainer.models.model_entry import BaseEntry, ChannelScale, ModelEntry
from trainer.models.network_table import MODELS, PARTS, PRETRAINED_EXAMPLE
from trainer.terminal.keras_settings import apply_keras_settings

apply_keras_settings()  # before any layer picks up the user's defaults


class ModelError(ValueError):
    """A network that cannot be built as requested."""


def build_model(
    name: str,
    num_classes: int,
    image_size: int | None = 180,
    input_range: tuple[float, float] | None = None,
    weights: str | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> keras.Model:
    """Builds one of `MODELS` under the current dtype policy.

    Args:
      name: key of `MODELS`.
      num_classes: number of outputs.
      image_size: width and height of the input pictures, in pixels; None: any, for a network with
        a pretrained part.
      input_range: the numbers that the pixel values 0 and 255 become; None: see
        `resolve_input_range`.
      weights: `imagenet`, `none` or a path; None: the network's default. Use `none` before loading
        a checkpoint: it saves work and needs no file.
      dropout: dropout rate; None: the network's default.
      seed: seed of the initial weights and of dropout. Also sets Keras's global seed, so that two
        builds are equal.

    Returns:
      uint8 [b, image_size, image_size, 3] -> float32 logits [b, num_classes]. The outputs of the
      layer `features` are worth caching; `logits` is the last layer.

    Raises:
      ModelError: if there is no such network, or it cannot be built with these settings.
      WeightsError: if pretrained weights are missing or do not fit.
    """
    entry = _entry(name)
    weights = _check_weights(name, weights)
    _require_buildable(entry, name, image_size, dropout)
    # Before the layers are built, so that a missing file is reported at once.
    path = _weights_path(entry, weights)
    pixels = input_range or _range_of_weights(entry, weights) or entry.pixels

    keras.utils.set_random_seed(seed)
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    x = scaled(pictures, pixels)
    rate = entry.dropout if dropout is None else dropout
    x = _function(entry.body)(x, rate, **entry.body_settings)
    x = layers.Dense(num_classes, name="classes")(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    model = keras.Model(pictures, logits, name=name)
    if entry.base is not None and weights != "none":
        _module(entry.base).load_weights(base_of(model), entry.base, path)
    return model


def _require_buildable(
    entry: ModelEntry, name: str, image_size: int | None, dropout: float | None
) -> None:
    if image_size is None and entry.base is None:
        raise ModelError(
            f"Pictures of several sizes are for a network that averages over the picture; {name!r} "
            "does not. Train it on one size."
        )
    if image_size is not None and image_size < entry.min_image_size:
        raise ModelError(
            f"The network {name!r} needs pictures of at least {entry.min_image_size} pixels a "
            f"side. Received: image_size={image_size}."
        )
    if dropout is not None and (entry.dropout is None or not 0 <= dropout < 1):
        allowed = "is not for it" if entry.dropout is None else "must be at least 0 and below 1"
        raise ModelError(f"The dropout of {name!r} {allowed}. Received: dropout={dropout}.")


def scaled(
    pictures: keras.KerasTensor, pixels: tuple[float, float] | ChannelScale
) -> keras.KerasTensor:
    """Adds the layer `scale`, which maps pixels to what a network expects.

    Args:
      pictures: uint8 [b, s, s, 3], RGB.
      pixels: the numbers that 0 and 255 become, or a scale of each channel.

    Returns:
      float32 [b, s, s, 3], also under a policy of 16 bits, which would round the pixels.
    """
    scale: float | list[float]
    offset: float | list[float]
    if isinstance(pixels, ChannelScale):
        order = (2, 1, 0) if pixels.blue_first else (0, 1, 2)
        if pixels.blue_first:
            pictures = pictures[..., ::-1]
        scale = [1 / pixels.std[channel] for channel in order]
        offset = [-pixels.mean[channel] / pixels.std[channel] for channel in order]
    else:
        low, high = pixels
        scale, offset = (high - low) / 255, low
    return layers.Rescaling(scale, offset=offset, dtype="float32", name="scale")(pictures)


def resolve_input_range(
    name: str, weights: str | None = None, input_range: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """The numbers that the pixel values 0 and 255 become in a network: (low, high).

    These are `input_range` if given, else the range that a weights file was trained on if the file
    reveals it, else the network's own: [0, 1] for the study's, [-1, 1] for InceptionV3, ... None if
    the network scales each channel in its own way.

    Raises:
      ModelError, WeightsError: as in `build_model`.
    """
    weights = _check_weights(name, weights)
    return input_range or _range_of_weights(_entry(name), weights) or _entry(name).input_range


def _function(name: str) -> Callable[..., keras.KerasTensor]:
    """Imports and returns `module:function`; called only when a network needs it."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _module(base: BaseEntry) -> Any:
    """The module of a base. It has these functions:

    build_base(base: BaseEntry, image_size: int) -> keras.Model named `base`;
    weights_path(base: BaseEntry, weights: str) -> the file that `--weights` stands for, or None if
      `load_weights` finds it;
    load_weights(network: keras.Model, base: BaseEntry, path) loads it into what `build_base` built.
    """
    return importlib.import_module(base.module)


def _weights_path(entry: ModelEntry, weights: str) -> pathlib.Path | None:
    if entry.base is None or weights == "none":
        return None
    return _module(entry.base).weights_path(entry.base, weights)


def _range_of_weights(entry: ModelEntry, weights: str) -> tuple[float, float] | None:
    """The range that a file reveals; needs no download."""
    if weights == "imagenet":
        return None
    path = _weights_path(entry, weights)
    revealing = entry.base is not None and entry.base.range_in_weights
    return inception.trained_input_range(path) if path and revealing else None


def _entry(name: str) -> ModelEntry:
    if name not in MODELS:
        raise ModelError(f"`model` must be one of {', '.join(MODELS)}. Received: {name!r}.")
    return MODELS[name]


def _check_weights(name: str, weights: str | None) -> str:
    entry = _entry(name)
    weights = weights or entry.default_weights
    if weights != "none" and not entry.pretrained:
        raise ModelError(
            f"`weights` is for a network with a pretrained part; {name!r} has none. Received: "
            f"weights={weights}. Leave it out, or choose another model, such as "
            f"{PRETRAINED_EXAMPLE}."
        )
    return weights


def set_trainable(model: keras.Model, part: str) -> None:
    """Chooses the part to train; build the optimizer afterwards.

    Args:
      model: a network from `build_model`.
      part: `head` (the new layers), `top_blocks` (also the top two groups of the pretrained base,
        except their BatchNorms) or `all`. A network without a pretrained base only has `all`.

    Raises:
      ModelError: if there is no such part.
    """
    allowed = PARTS if base_of(model) else ("all",)
    if part not in allowed:
        raise ModelError(
            f"The part of {model.name!r} to train must be one of {', '.join(allowed)}. "
            f"Received: {part!r}."
        )
    if base_of(model):
        set_part_trainable(model, part)


def split_at_features(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Splits a network into two that share its layers: pictures -> features, features -> logits.

    While the base is frozen, its features can be computed once. The features [b, n] have the dtype
    policy's compute dtype, which float32 holds without loss.
    """
    features = model.get_layer("features").output
    return (
        keras.Model(model.input, features, name=f"{model.name}_base"),
        keras.Model(features, model.output, name=f"{model.name}_head"),
    )


def with_features(model: keras.Model) -> keras.Model:
    """A network of one pass for both: pictures -> (features, logits); shares its layers."""
    features = model.get_layer("features").output
    return keras.Model(model.input, [features, model.output], name=f"{model.name}_both")


def with_probabilities(model: keras.Model) -> keras.Model:
    """Adds a float32 softmax after the network's logits; shares its layers."""
    softmax = layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(model.input, softmax(model.output), name=f"{model.name}_probabilities")
