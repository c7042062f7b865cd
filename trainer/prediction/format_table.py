"""The file formats that a run's network can be exported in."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping

from trainer.terminal.option import OptionError, option

SAVED_MODEL = "saved_model"
_EXPORT = "Export"


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """A format that keeps a network in one file, without TensorFlow.

    Attributes:
      file: name of the model's file.
      packages: module -> the package that has it, for all that the export and its check import.
    """

    file: str
    packages: Mapping[str, str]


FILE_FORMATS: Mapping[str, FileFormat] = {
    "onnx": FileFormat(
        "model.onnx", {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"}
    ),
    "litert": FileFormat("model.tflite", {"ai_edge_litert": "ai-edge-litert"}),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """The flags that choose the format of an export."""

    format: str = option(
        SAVED_MODEL,
        "saved_model takes JPEG files. onnx and litert take pictures that are decoded already, and "
        "need `pip install 'cdiscount-image-classification[formats]'`; see docs/formats.md.",
        group=_EXPORT,
        choices=(SAVED_MODEL, *FILE_FORMATS),
    )
    int8: bool = option(
        False,
        "Compute in 8-bit integers: with --format=litert. A quarter of the size, and less exact.",
        group=_EXPORT,
    )
    check_pictures: int = option(
        200,
        "How many pictures of the run's validation split are predicted to check the file. With "
        "--format=onnx or litert.",
        group=_EXPORT,
        at_least=1,
    )
    calibration_pictures: int = option(
        200,
        "How many pictures of the run's training split show the ranges of the numbers within the "
        "network. With --int8.",
        group=_EXPORT,
        at_least=1,
    )
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir), for these pictures. "
        "Default: where the run found it.",
        group=_EXPORT,
        is_path=True,
        any_storage=True,
    )

    @property
    def file_format(self) -> FileFormat | None:
        """The format; None for a SavedModel.

        Raises:
          OptionError: if the flags contradict each other, or a package is missing.
        """
        if self.int8 and self.format != "litert":
            raise OptionError(
                "--int8 is for --format=litert: Keras exports integers in no other format. "
                f"Received: --format={self.format}. Leave one of the two out."
            )
        if self.format == SAVED_MODEL:
            return None
        found = FILE_FORMATS[self.format]
        missing = [
            package
            for module, package in found.packages.items()
            if importlib.util.find_spec(module) is None
        ]
        if missing:
            raise OptionError(
                f"--format={self.format} needs packages that are not installed: "
                f"{', '.join(missing)}. Install them with "
                "`pip install 'cdiscount-image-classification[formats]'`."
            )
        return found
