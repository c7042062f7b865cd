"""Exports a run's network, or those of several, as a SavedModel that classifies JPEG files.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1
    python -m trainer.serving --run_dirs=runs/a,runs/b --run_weights=0.6,0.4 --output=served/2

`trainer.prediction.saved_model` describes its signature.
"""

from __future__ import annotations

import dataclasses

from trainer.models.precision import PRECISIONS
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions, RunSelection):
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
    """Exports the networks and prints how to inspect the result."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.prediction.saved_model import check_output, export
    from trainer.prediction.served_runs import load_served
    from trainer.prediction.serving_batches import write_batching
    from trainer.runs.run_weights import write_made_from

    check_output(options.output)
    served, made_from = load_served(options, options, options.precision)
    output = export(served, options.output, options.top)
    write_made_from(output, made_from)
    batching = write_batching(output)
    if made_from["temperature"] is None:
        print(
            "The probabilities are not calibrated: there is no temperature for these weights and "
            "views (`python -m trainer.evaluate --calibrate` fits one for a single run)."
        )
    show = ["saved_model_cli", "show", "--dir", output, "--tag_set", "serve"]
    print(
        f"SavedModel for {served.label_map.num_classes:,} classes: {output}\n"
        f"  {command.quoted(*show, '--signature_def', 'serving_default')}\n"
        f"For TensorFlow Serving's --batching_parameters_file: {batching}"
    )


if __name__ == "__main__":
    command.run(main, Options)
