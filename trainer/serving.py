"""Exports a run's network as a SavedModel that takes JPEG files and names what they show.

    python -m trainer.serving --run_dir=runs/cnn-adam --output=served/1

`trainer.prediction.saved_model` says what its signature takes and gives.
"""

from __future__ import annotations

from absl import app, flags

from trainer.models.precision import PRECISIONS
from trainer.prediction.flags import CHECKPOINTS, define_run_flag
from trainer.runs.folder import RunFolder
from trainer.terminal import command


def main(argv: list[str]) -> None:
    """Parses, calls, prints what comes next."""
    if len(argv) > 1:
        raise app.UsageError(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    # Imports TensorFlow: seconds that `--help` and a mistyped flag need not take.
    from trainer.prediction.loading import load_predictor
    from trainer.prediction.saved_model import check_output, export

    check_output(flags.FLAGS.output)
    run = RunFolder(flags.FLAGS.run_dir).require()
    predictor = load_predictor(
        run,
        checkpoint=flags.FLAGS.checkpoint,
        flip=flags.FLAGS.flip,
        precision=flags.FLAGS.precision,
    )
    output = export(predictor, flags.FLAGS.output, flags.FLAGS.top)
    print(
        f"SavedModel for {predictor.label_map.num_classes:,} classes: {output}\n"
        f"  saved_model_cli show --dir {output} --tag_set serve --signature_def serving_default"
    )


def _define_flags() -> None:
    define_run_flag()
    flags.DEFINE_string("output", None, "Folder of the SavedModel; a new one.", required=True)
    flags.DEFINE_enum(
        "checkpoint", "best", CHECKPOINTS, "The best epoch by validation loss, or the last epoch."
    )
    flags.DEFINE_bool("flip", False, "Average each picture with its mirror image.")
    flags.DEFINE_integer("top", 5, "How many classes are named.", lower_bound=1)
    flags.DEFINE_enum(
        "precision",
        "float32",
        PRECISIONS,
        "Arithmetic of the exported network. float32 runs well everywhere; auto is what is fastest "
        "on this machine.",
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
