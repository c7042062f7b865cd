"""The networks, by name: uint8 pictures [b, size, size, 3] to float32 logits [b, classes].

The first layer scales the pixels to the range that the network was made for; the softmax belongs to
the loss, and to `with_probabilities` for use. Not published by the study, chosen here: the dropout
rate, and ReLU for the two dense layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
from keras import layers

from trainer.models import inception

PARTS = ("head", "top_blocks", "all")

_DROPOUT = 0.2
_LOGISTIC_SIZE = 36


class ModelError(ValueError):
    """A network that cannot be built as asked."""


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One network.

    Attributes:
      body: (scaled pictures [b, s, s, 3], dropout rate) -> what the last dense layer reads.
      min_image_size: smallest picture, in pixels a side, of which its layers leave something.
      dropout: default dropout rate; None for a network that has none.
      input_range: what the pixel values 0 and 255 become.
      default_weights: `imagenet`, or `none` for a network that has no pretrained part.
    """

    body: Callable[[keras.KerasTensor, float], keras.KerasTensor]
    min_image_size: int
    dropout: float | None = _DROPOUT
    input_range: tuple[float, float] = (0.0, 1.0)
    default_weights: str = "none"

    @property
    def pretrained(self) -> bool:
        return self.default_weights != "none"


def _study_body(
    *convolutions: tuple[int, int, int], dense: tuple[int, int]
) -> Callable[[keras.KerasTensor, float], keras.KerasTensor]:
    """The study's own networks; a convolution is (filters, kernel size, stride)."""

    def body(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
        for number, (filters, kernel, stride) in enumerate(convolutions, 1):
            x = layers.Conv2D(
                filters, kernel, strides=stride, activation="relu", name=f"conv_{number}"
            )(x)
            x = layers.Dropout(dropout, name=f"dropout_{number}")(x)
            x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
        # On the last axis of the feature map: each place by itself, the places not yet flattened.
        for number, units in enumerate(dense, 1):
            x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        return layers.Flatten(name="features")(x)

    return body


def _inception_body(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """As keras.io's fine-tuning example: the base, pooled, and a dense layer of 1024."""
    x = inception.build_base(x.shape[1])(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(1024, activation="relu", name="dense_1")(x)
    return layers.Dropout(dropout, name="dropout_1")(x)


def _logistic_body(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """Logistic regression on the picture averaged down to 36x36.

    On all 97,200 values of a 180x180 picture, 5270 classes would have 512 million weights: 2 GB,
    and 8 GB with gradients and Adam's moments. On 36x36 pixels they are 20 million.
    """
    x = layers.AveragePooling2D(max(1, x.shape[1] // _LOGISTIC_SIZE), name="thumbnail")(x)
    return layers.Flatten(name="features")(x)


_CNN = ModelEntry(_study_body((100, 4, 1), (80, 2, 1), (60, 2, 1), dense=(40, 20)), 17)

MODELS: dict[str, ModelEntry] = {
    "cnn": _CNN,
    "cnn_small": ModelEntry(_study_body((64, 4, 1), (32, 2, 1), dense=(20, 10)), 9),
    "inception": ModelEntry(
        _inception_body,
        75,
        dropout=0.0,
        input_range=inception.IMAGENET_RANGE,
        default_weights="imagenet",
    ),
    "logistic": ModelEntry(_logistic_body, 1, dropout=None),
    "solution1_1": ModelEntry(_study_body((80, 4, 2), (60, 2, 1), dense=(40, 20)), 14),
    "solution1_2": _CNN,
}


def build_model(
    name: str,
    num_classes: int,
    image_size: int = 180,
    input_range: tuple[float, float] | None = None,
    weights: str | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> keras.Model:
    """Builds one of `MODELS` under the current dtype policy.

    Args:
      name: key of `MODELS`.
      num_classes: number of outputs.
      image_size: pixels a side of the pictures that it will be given.
      input_range: what the pixel values 0 and 255 become; None: see `resolve_input_range`.
      weights: `imagenet`, `none` or a path; None: the network's default. To load a checkpoint of a
        finished run, `none` saves the work and needs no file.
      dropout: rate; None: the network's default.
      seed: of the initial weights and of dropout. Keras's global seed is set to it, so that two
        builds are equal.

    Returns:
      uint8 [b, image_size, image_size, 3] -> float32 logits [b, num_classes]. The layer `features`
      gives what is worth caching, `logits` is the last.

    Raises:
      ModelError: if there is no such network, or it cannot be built with these settings.
      WeightsError: if pretrained weights are missing or do not fit.
    """
    entry = _entry(name)
    weights = _check_weights(name, weights)
    if image_size < entry.min_image_size:
        raise ModelError(
            f"The network {name!r} needs pictures of at least {entry.min_image_size} pixels a "
            f"side. Received: image_size={image_size}."
        )
    if dropout is not None and (entry.dropout is None or not 0 <= dropout < 1):
        allowed = "is not for it" if entry.dropout is None else "must be at least 0 and below 1"
        raise ModelError(f"The dropout of {name!r} {allowed}. Received: dropout={dropout}.")
    # Before the layers are built, so that a missing file is told at once.
    path = None if weights == "none" else inception.weights_path(weights)
    low, high = input_range or _range_of_weights(entry, weights)

    keras.utils.set_random_seed(seed)
    pictures = keras.Input((image_size, image_size, 3), dtype="uint8", name="pictures")
    # In float32: a 16-bit float would round the pixels themselves.
    x = layers.Rescaling((high - low) / 255, offset=low, dtype="float32", name="scale")(pictures)
    x = entry.body(x, entry.dropout if dropout is None else dropout)
    x = layers.Dense(num_classes, name="classes")(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    model = keras.Model(pictures, logits, name=name)
    if path:
        inception.load_weights(model.get_layer("base"), path)
    return model


def resolve_input_range(
    name: str, weights: str | None = None, input_range: tuple[float, float] | None = None
) -> tuple[float, float]:
    """What the pixel values 0 and 255 become in a network: (low, high).

    That is `input_range` if given, else the range that a file of weights was trained on as far as
    the file tells, else the network's own: [0, 1] for the study's, [-1, 1] for ImageNet's.

    Raises:
      ModelError, WeightsError: as `build_model`.
    """
    weights = _check_weights(name, weights)
    return input_range or _range_of_weights(_entry(name), weights)


def _range_of_weights(entry: ModelEntry, weights: str) -> tuple[float, float]:
    trained = None
    if weights not in ("none", "imagenet"):
        trained = inception.trained_input_range(inception.weights_path(weights))
    return trained or entry.input_range


def _entry(name: str) -> ModelEntry:
    if name not in MODELS:
        raise ModelError(f"`model` must be one of {', '.join(MODELS)}. Received: {name!r}.")
    return MODELS[name]


def _check_weights(name: str, weights: str | None) -> str:
    entry = _entry(name)
    weights = weights or entry.default_weights
    if weights != "none" and not entry.pretrained:
        pretrained = ", ".join(other for other in MODELS if MODELS[other].pretrained)
        raise ModelError(
            f"Pretrained weights are for {pretrained} only; the network {name!r} has none. "
            f"Received: weights={weights}. Leave it out, or choose another model."
        )
    return weights


def set_trainable(model: keras.Model, part: str) -> None:
    """Chooses what training changes; compile the model afterwards.

    Args:
      model: of `build_model`.
      part: `head` (the new layers), `top_blocks` (and the top two blocks of the pretrained base,
        but for their BatchNorms) or `all`. A network without a pretrained base has only `all`.

    Raises:
      ModelError: if there is no such part.
    """
    base = next((layer for layer in model.layers if layer.name == "base"), None)
    allowed = PARTS if base else ("all",)
    if part not in allowed:
        raise ModelError(
            f"The part of {model.name!r} to train must be one of {', '.join(allowed)}. "
            f"Received: {part!r}."
        )
    if base:
        inception.set_trainable(base, part)


def split_at_features(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Splits a network in two that share its layers: pictures -> features, features -> logits.

    While the base is frozen, its features can be computed once. The features [b, n] have the dtype
    policy's compute dtype; stored as float32 they lose nothing.
    """
    features = model.get_layer("features").output
    return (
        keras.Model(model.input, features, name=f"{model.name}_base"),
        keras.Model(features, model.output, name=f"{model.name}_head"),
    )


def with_probabilities(model: keras.Model) -> keras.Model:
    """The network with a float32 softmax after its logits; shares the layers."""
    softmax = layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(model.input, softmax(model.output), name=f"{model.name}_probabilities")
