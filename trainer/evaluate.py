"""Measures a finished run on a split: every labelled product once, exactly.

    python -m trainer.evaluate --run_dir=runs/cnn-adam --split='train[80%:]'

Prints a table and writes RUN/evaluation/SPLIT.json (`trainer.prediction.evaluation`).
"""

from __future__ import annotations

from absl import app, flags

from trainer.prediction.flags import define_prediction_flags, prediction_options
from trainer.terminal import command


def main(argv: list[str]) -> None:
    """Parses, calls, prints."""
    if len(argv) > 1:
        raise app.UsageError(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    # Imports TensorFlow: seconds that `--help` and a mistyped flag need not take.
    from trainer.prediction.evaluation import evaluate_run, table, write_result

    result = evaluate_run(
        flags.FLAGS.run_dir,
        flags.FLAGS.split,
        deduplicate=flags.FLAGS.deduplicate,
        **prediction_options(),
    )
    print(table(result), flush=True)
    print(f"\n{write_result(flags.FLAGS.run_dir, result)}")


def _define_flags() -> None:
    define_prediction_flags()
    flags.DEFINE_string("split", None, "The products. Default: the run's validation split.")
    flags.DEFINE_bool(
        "deduplicate",
        True,
        "Also count the products alone whose pictures are not in the run's training split.",
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
