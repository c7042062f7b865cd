"""Exports a run's network as a SavedModel that classifies JPEG files.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1

`trainer.prediction.saved_model` describes its signature.
"""

from __future__ import annotations

import dataclasses

from trainer.models.precision import PRECISIONS
from trainer.prediction.options import NetworkOptions, RunDirectory
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions, RunDirectory):
    """The flags of the command."""

    output: str = option(
        None, "Folder of the SavedModel; a new one.", group="Run", is_path=True, required=True
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
    """Exports the network and prints how to inspect the result."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.prediction.loading import load_predictor
    from trainer.prediction.saved_model import check_output, export
    from trainer.runs.folder import RunFolder

    check_output(options.output)
    run = RunFolder(options.run_dir).require()
    predictor = load_predictor(
        run,
        checkpoint=options.checkpoint,
        flip=options.flip,
        precision=options.precision,
    )
    output = export(predictor, options.output, options.top)
    if predictor.weights is not None:
        predictor.weights.write_beside(output, precision=options.precision, flip=options.flip)
    show = ["saved_model_cli", "show", "--dir", output, "--tag_set", "serve"]
    print(
        f"SavedModel for {predictor.label_map.num_classes:,} classes: {output}\n"
        f"  {command.quoted(*show, '--signature_def', 'serving_default')}"
    )


if __name__ == "__main__":
    command.run(main, Options)
