"""Exports a run's network, or those of several, as a SavedModel that classifies JPEG files.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1
    python -m trainer.serving --run_dirs=runs/a,runs/b --run_weights=0.6,0.4 --output=served/2
    python -m trainer.serving --run_dir=runs/cnn-adam --output=onnx --format=onnx
    python -m trainer.serving --run_dir=runs/cnn-adam --output=phone --format=litert --int8

`trainer.prediction.saved_model` describes the SavedModel's signature, docs/formats.md the other
formats, which take decoded pictures.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from trainer.models.precision import PRECISIONS
from trainer.prediction.format_table import FormatOptions
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import OptionError, option

if TYPE_CHECKING:
    from trainer.prediction.saved_model import Servable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(FormatOptions, NetworkOptions, RunSelection):
    """The flags of the command."""

    output: str = option(
        None,
        "Folder of the exported model; a new one.",
        group="Run",
        is_path=True,
        any_storage=True,
        required=True,
    )
    top: int = option(5, "How many classes to name.", group="Prediction", at_least=1)
    precision: str = option(
        "float32",
        "Arithmetic of the exported network. float32 runs well everywhere; auto is the fastest on "
        "this machine.",
        group="Prediction",
        choices=PRECISIONS,
    )


def main(options: Options) -> None:
    """Exports the networks and prints how to inspect the result."""
    is_file = options.file_format is not None
    if is_file and options.precision != "float32":
        raise OptionError(
            "--format=onnx and litert take --precision=float32 (and --int8). Received: "
            f"--precision={options.precision}. Leave it out."
        )
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.prediction.saved_model import check_output, export
    from trainer.prediction.served_runs import load_served
    from trainer.prediction.serving_batches import write_batching
    from trainer.runs.output_file import write_made_from

    output = check_output(options.output)
    served, made_from = load_served(options, options, options.precision)
    if is_file:
        described = _export_file(options, served)
        calibrating = options.calibration_pictures if options.int8 else None
        made_from = made_from | {
            "format": options.format,
            "int8": options.int8,
            "calibration_pictures": calibrating,
        }
    else:
        export(served, output, options.top)
        show = ["saved_model_cli", "show", "--dir", output, "--tag_set", "serve"]
        described = (
            f"SavedModel for {served.label_map.num_classes:,} classes: {output}\n"
            f"  {command.quoted(*show, '--signature_def', 'serving_default')}\n"
            f"For TensorFlow Serving's --batching_parameters_file: {write_batching(output)}"
        )
    write_made_from(output, made_from)
    if made_from["temperature"] is None:
        print(
            "The probabilities are not calibrated: there is no temperature for these weights and "
            "views (`python -m trainer.evaluate --calibrate` fits one for a single run)."
        )
    print(described)


def _export_file(options: Options, served: Servable) -> str:
    """Exports an ONNX or LiteRT file; returns what to print about it."""
    from trainer.data.dataset import open_dataset
    from trainer.prediction.format_pictures import file_pictures
    from trainer.prediction.picture_network import picture_size
    from trainer.prediction.portable_export import export_file
    from trainer.prediction.selected_runs import selected_folders

    run, size = selected_folders(options)[0], picture_size(served)
    data = open_dataset(options.data_dir or run.config.data_dir)
    pictures = file_pictures(run, data, options, size)
    print(
        f"Checking on {len(pictures.checked):,} pictures. A large network takes minutes.",
        flush=True,
    )
    check = export_file(served, options.output, options.format, pictures)
    return (
        f"{options.output}: {options.format} for {served.label_map.num_classes:,} classes, "
        f"{check.bytes / 1e6:.1f} MB.\n"
        f"On {check.pictures:,} pictures of {check.split}, compared with the run: largest "
        f"difference of a probability {check.largest_difference:.2g}, same first guess "
        f"{check.same_first_guess:.1%}, {check.milliseconds:.1f} ms per picture on one thread."
    )


if __name__ == "__main__":
    command.run(main, Options)
