"""Exports a run's network as a SavedModel that takes JPEG files and names what they show.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1

Its signature `serving_default` takes a vector of JPEG strings [b] and gives

    class          int32 [b, k]    the k most probable classes, most probable first
    category_id    int64 [b, k]    their category ids (for runs with --target=category)
    name           string [b, k]   their names
    probability    float32 [b, k]
    probabilities  float32 [b, classes]

Decoding, scaling and softmax are inside. The class names are an asset of the SavedModel,
`assets/class_names.txt`, a line a class. Bytes that are no JPEG fail the call they are in.
TensorFlow Serving expects each version of a model in a folder named by its number.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import keras
import tensorflow as tf

from trainer.data.tf_decoding import decode_jpeg
from trainer.prediction.predictor import Predictor


class ServingError(ValueError):
    """A place where no SavedModel can be written."""


def export(predictor: Predictor, output: str | os.PathLike[str], top: int = 5) -> pathlib.Path:
    """Writes the SavedModel, whole or not at all; returns its folder.

    Args:
      predictor: the network.
      output: a folder that does not exist yet.
      top: k, how many classes are named; at most the number of classes.

    Raises:
      ServingError: if `output` exists or its parent cannot be written to.
    """
    output = check_output(output)
    label_map = predictor.label_map
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that the last step is a rename.
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        labels = folder / "class_names.txt"
        lines = (" ".join(name.split()) for name in label_map.class_names)
        labels.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        # A table that is read from a file takes the file along as an asset.
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
        archive.track(predictor.model)
        archive.track(names)
        archive.add_endpoint(
            "serve",
            _endpoint(predictor, names, min(top, label_map.num_classes)),
            input_signature=[tf.TensorSpec([None], tf.string, name="jpegs")],
        )
        archive.write_out(folder / "model", verbose=False)
        os.rename(folder / "model", output)
    finally:
        shutil.rmtree(folder)
    return output


def _endpoint(predictor: Predictor, names, top: int):
    size, label_map = predictor.image_size, predictor.label_map
    category_ids = None
    if label_map.category_of_class is not None:
        category_ids = tf.constant(label_map.categories.category_ids[label_map.category_of_class])

    def serve(jpegs: tf.Tensor) -> dict[str, tf.Tensor]:
        pictures = tf.map_fn(
            lambda jpeg: decode_jpeg(jpeg, size),
            jpegs,
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        )
        probabilities = predictor.forward(pictures)
        probability, classes = tf.math.top_k(probabilities, top)
        outputs = {
            "class": classes,
            "name": names.lookup(tf.cast(classes, tf.int64)),
            "probability": probability,
            "probabilities": probabilities,
        }
        if category_ids is not None:
            outputs["category_id"] = tf.gather(category_ids, classes)
        return outputs

    return serve


def check_output(output: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `output`; raises ServingError if something is there already."""
    output = pathlib.Path(output)
    if output.exists():
        raise ServingError(
            f"--output must be a folder that does not exist yet. Received: {output}, which does. "
            "Name a new one, e.g. the next version's number."
        )
    return output
