"""Exports networks as ONNX or LiteRT files, and checks each file against its runs.

    OUTPUT/model.onnx       or model.tflite; docs/formats.md describes what goes in and comes out
    OUTPUT/classes.json     what the numbers mean, for programs
    OUTPUT/check.json       how far the file is from its runs

Keras's own exporters write the model (`keras.Model.export`).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from cdisc_tfds.whole_files import whole_folder, write_json
from trainer.data.label_map import LabelMap
from trainer.prediction.format_check import FormatCheck, compare
from trainer.prediction.format_pictures import FilePictures
from trainer.prediction.format_table import FILE_FORMATS
from trainer.prediction.model_runtimes import RUNTIMES
from trainer.prediction.picture_network import (
    INPUT,
    OUTPUT,
    PictureNetwork,
    picture_size,
    require_one_view,
    run_probabilities,
)
from trainer.prediction.saved_model import Servable, Served, ServingError, check_output
from trainer.terminal.command import Preempted
from trainer.terminal.hidden_output import hidden_stderr

# Sums in another order change float32 probabilities by 1e-6 or so; a wrong graph by far more.
LARGEST_DIFFERENCE = 1e-4
# 8-bit integers change probabilities; with fewer equal first guesses, they ruin the network.
LOWEST_AGREEMENT = 0.8
_BATCH = 32


def export_file(
    served: Servable, output: str | os.PathLike[str], file_format: str, pictures: FilePictures
) -> FormatCheck:
    """Writes the folder of a model's file, whole or not at all.

    Args:
      served: the networks, in float32.
      output: a folder that does not exist yet.
      file_format: a key of FILE_FORMATS.
      pictures: for the check, and for 8-bit integers.

    Returns:
      How far the file is from the runs.

    Raises:
      ServingError: if the folder exists, the networks cannot be in such a file, or the file does
        not compute what they do.
      PredictionError: if a prediction of the runs is not finite.
    """
    output = check_output(output)
    size = picture_size(served)
    assert isinstance(served, Served)
    expected = run_probabilities(served, pictures.checked, _BATCH)
    if pictures.calibrating is not None:
        require_one_view(served)
    network = PictureNetwork(served, size, scales_logits=pictures.calibrating is not None)
    with whole_folder(output, last="check.json") as folder:
        model = folder / "whole" / FILE_FORMATS[file_format].file
        model.parent.mkdir()
        _write_model(network, model, file_format, pictures.calibrating)
        check = _checked(model, file_format, pictures, expected)
        write_json(model.parent / "classes.json", meaning(served.label_map, size))
        write_json(model.parent / "check.json", dataclasses.asdict(check))
    return check


def meaning(label_map: LabelMap, image_size: int) -> dict[str, Any]:
    """What goes into a model's file and what comes out, as JSON has it."""
    classes: list[dict[str, Any]] = [
        {"name": name, "full_name": full}
        for name, full in zip(label_map.class_names, label_map.full_names, strict=True)
    ]
    if label_map.target == "category":
        ids = label_map.categories.category_ids[label_map.category_of_class]
        classes = [{"category_id": int(one)} | row for one, row in zip(ids, classes, strict=True)]
    return {
        "format": 1,
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "shape": ["batch", image_size, image_size, 3],
            "colours": "RGB, 0 to 255; the network scales them itself",
            "resize": "to the whole square, without cropping; bilinear, antialiased",
        },
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "shape": ["batch", label_map.num_classes],
        },
        "classes": classes,
    }


def _write_model(
    network: PictureNetwork, path: pathlib.Path, file_format: str, calibrating: np.ndarray | None
) -> None:
    options = {} if file_format != "litert" else _litert_options(calibrating)
    try:
        with warnings.catch_warnings(), hidden_stderr(show_on_error=False):
            warnings.simplefilter("ignore")
            network.export(
                path,
                format=file_format,
                input_signature=[network.signature],
                verbose=False,
                **options,
            )
    except (OSError, MemoryError, Preempted):
        raise
    except Exception as error:  # each converter has its own kinds
        raise _refusal(file_format, "write", error) from error


def _litert_options(calibrating: np.ndarray | None) -> dict[str, Any]:
    """Attributes of TensorFlow's converter, as Keras's exporter takes them."""
    operations = tf.lite.OpsSet
    # Keras would fall back on TensorFlow's operations, which LiteRT's plain runtime does not have.
    if calibrating is None:
        return {"target_spec": {"supported_ops": [operations.TFLITE_BUILTINS]}}

    def examples() -> Iterator[list[np.ndarray]]:
        for picture in calibrating:
            yield [picture[None]]

    # The cast of the pixels to float32 has no 8-bit version.
    supported = [operations.TFLITE_BUILTINS_INT8, operations.TFLITE_BUILTINS]
    return {
        "target_spec": {"supported_ops": supported},
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": examples,
    }


def _checked(
    model: pathlib.Path, file_format: str, pictures: FilePictures, expected: np.ndarray
) -> FormatCheck:
    is_int8 = pictures.calibrating is not None
    try:
        check = compare(model, RUNTIMES[file_format](model), pictures, expected)
    except (OSError, MemoryError, Preempted):
        raise
    except Exception as error:  # each runtime has its own kinds
        raise _refusal(file_format, "run", error) from error
    at_most = np.inf if is_int8 else LARGEST_DIFFERENCE
    at_least = LOWEST_AGREEMENT if is_int8 else 0
    # Not `>`: a difference that is not a number fails as well.
    if not (check.largest_difference <= at_most and check.same_first_guess >= at_least):
        rule = (
            f"have the run's first guess on at least {at_least:.0%} of the pictures"
            if is_int8
            else f"differ from the run by at most {at_most:g} in any probability"
        )
        raise ServingError(
            f"The file must {rule}. Received, on {check.pictures} pictures of {check.split!r}: "
            f"{check.same_first_guess:.1%} and {check.largest_difference:.3g}. Nothing was kept. "
            f"Use --format=saved_model{', or leave out --int8' if is_int8 else ''}."
        )
    return check


def _refusal(file_format: str, verb: str, error: Exception) -> ServingError:
    """What to tell the user about an error of a library."""
    packages = ("keras", "tensorflow", *FILE_FORMATS[file_format].packages.values())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
    return ServingError(
        f"These packages cannot {verb} this network as --format={file_format}: {versions}. They "
        f"say: {type(error).__name__}: {reason} Nothing was kept. Use --format=saved_model."
    )
