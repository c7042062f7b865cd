"""Exports networks as a SavedModel that takes JPEG files and names what they show.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1

With several networks, the probabilities are their weighted mean. The signature `serving_default`
takes a vector of JPEG strings [b] and returns

    class          int32 [b, k]    the k most probable classes, most probable first
    category_id    int64 [b, k]    their category ids (for runs with --target=category)
    name           string [b, k]   their names
    probability    float32 [b, k]
    probabilities  float32 [b, classes]

For a fused run it takes a matrix [b, p] instead, with the pictures of a product in each row; see
`trainer.prediction.served_fusion`.

An empty vector gives empty results. The model decodes, scales and applies softmax itself. The class
names are an asset of the SavedModel, `assets/class_names.txt`, one per line. A call fails if one
of its strings is not a JPEG, or has a header that declares more than MAX_PIXELS pixels. TensorFlow
Serving expects each version of a model in a folder named after its number.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

import keras
import tensorflow as tf

from cdisc_tfds.storage import path_of
from cdisc_tfds.whole_files import can_create, whole_folder
from trainer.data.label_map import LabelMap
from trainer.data.tf_decoding import decode_jpeg
from trainer.prediction.joining_rules import SMALLEST
from trainer.prediction.predictor import Predictor
from trainer.runs.output_file import require_short_name

# More than any product picture has; decoding that many takes 100 MB.
MAX_PIXELS = 1 << 25


class ServingError(ValueError):
    """A SavedModel cannot be written to this folder."""


class Servable(Protocol):
    """Networks that a SavedModel can be made of."""

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""

    @property
    def models(self) -> tuple[keras.Model, ...]:
        """The networks to export."""

    @property
    def signature(self) -> tf.TensorSpec:
        """What the SavedModel takes: JPEG strings."""

    def forward(self, jpegs: tf.Tensor) -> tf.Tensor:
        """The strings of `signature` -> float32 [b, classes], as TensorFlow operations."""


@dataclasses.dataclass(frozen=True)
class Served:
    """The networks of a SavedModel.

    Attributes:
      predictors: one for each run; they have the same classes.
      weights: one for each; they sum to 1.
      mean: `arithmetic` or `geometric`, as in `MixedSource`.
    """

    predictors: tuple[Predictor, ...]
    weights: tuple[float, ...] = (1.0,)
    mean: str = "arithmetic"

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""
        return self.predictors[0].label_map

    @property
    def models(self) -> tuple[keras.Model, ...]:
        """The networks to export."""
        return tuple(predictor.model for predictor in self.predictors)

    @property
    def signature(self) -> tf.TensorSpec:
        """What the SavedModel takes."""
        return tf.TensorSpec([None], tf.string, name="jpegs")

    def forward(self, jpegs: tf.Tensor) -> tf.Tensor:
        """string [b] -> float32 [b, classes], as TensorFlow operations."""
        pictures: dict[int, tf.Tensor] = {}
        parts = []
        for predictor in self.predictors:
            size = predictor.image_size
            if size not in pictures:
                # GPUs cannot hold strings, but TensorFlow may still place a loop over them there
                # and fail.
                with tf.device("/cpu:0"):
                    pictures[size] = decoded(jpegs, size)
            parts.append(predictor.forward(pictures[size]))
        return self.joined(parts)

    def joined(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """float32 [b, classes] of each predictor -> their mean, as TensorFlow operations."""
        if len(parts) == 1:
            return parts[0]
        if self.mean == "geometric":
            parts = [tf.math.log(tf.maximum(part, SMALLEST)) for part in parts]
        weighted = [part * weight for part, weight in zip(parts, self.weights, strict=True)]
        total = tf.add_n(weighted)
        return tf.nn.softmax(total) if self.mean == "geometric" else total


def export(served: Servable, output: str | os.PathLike[str], top: int = 5) -> pathlib.Path:
    """Writes the SavedModel atomically; returns its folder.

    Args:
      served: the networks.
      output: a folder that does not exist yet.
      top: k, the number of classes to name, capped at the number of classes.

    Raises:
      ServingError: if `output` already exists.
      OSError: if its parent cannot be written to.
    """
    output = check_output(output)
    label_map = served.label_map
    with whole_folder(output, last="saved_model.pb") as folder:
        labels = folder / "class_names.txt"
        lines = (" ".join(name.split()) for name in label_map.class_names)
        labels.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        # A table that is initialized from a file exports the file as an asset.
        names = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(labels),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value="",
        )
        archive = keras.export.ExportArchive()
        for model in served.models:
            archive.track(model)
        archive.track(names)
        archive.add_endpoint(
            "serve",
            _endpoint(served, names, min(top, label_map.num_classes)),
            input_signature=[served.signature],
        )
        archive.write_out(folder / "whole", verbose=False)
    return output


def _endpoint(
    served: Servable, names: tf.lookup.StaticHashTable, top: int
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """The signature's function; see the module's docstring."""
    label_map = served.label_map
    category_ids = None
    if label_map.target == "category":
        category_ids = tf.constant(label_map.categories.category_ids[label_map.category_of_class])

    def serve(jpegs: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = served.forward(jpegs)
        probability, classes = tf.math.top_k(probabilities, top)
        with tf.device("/cpu:0"):
            name = names.lookup(tf.cast(classes, tf.int64))
        outputs = {
            "class": classes,
            "name": name,
            "probability": probability,
            "probabilities": probabilities,
        }
        if category_ids is not None:
            outputs["category_id"] = tf.gather(category_ids, classes)
        return outputs

    return serve


def decoded(jpegs: tf.Tensor, image_size: int) -> tf.Tensor:
    """string [b] -> uint8 [b, image_size, image_size, 3]."""

    def decode(jpeg: tf.Tensor) -> tf.Tensor:
        # Reads only the header; decoding allocates the memory for the pixels.
        shape = tf.image.extract_jpeg_shape(jpeg, output_type=tf.int64)
        refusal = tf.debugging.Assert(
            shape[0] * shape[1] <= MAX_PIXELS,
            [f"A picture may have at most {MAX_PIXELS} pixels. Received height and width:", shape],
        )
        with tf.control_dependencies([refusal]):
            return decode_jpeg(tf.identity(jpeg), image_size)

    return tf.map_fn(
        decode, jpegs, fn_output_signature=tf.TensorSpec([image_size, image_size, 3], tf.uint8)
    )


def check_output(output: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `output`; raises ServingError if the SavedModel cannot be written there."""
    output = path_of(output)
    require_short_name(output, ServingError)
    if output.exists():
        raise ServingError(
            f"--output must be a folder that does not exist yet. Received: {output}, which does. "
            "Name a new one, e.g. the next version's number."
        )
    if not can_create(output):
        raise ServingError(
            f"--output must be in a folder that can be written to. Received: {output}. Choose "
            "another one, or change its permissions."
        )
    return output
