"""Writes the predictions of a run as the competition's submission: one row a product.

python -m trainer.submit --run_dir=runs/cnn-adam --output=submission.csv.gz
"""

from __future__ import annotations

import pathlib

from absl import app, flags

from trainer.prediction.flags import define_prediction_flags, prediction_options
from trainer.terminal import command


def main(argv: list[str]) -> None:
    """Parses, calls, prints what comes next."""
    if len(argv) > 1:
        raise app.UsageError(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    # Imports TensorFlow: seconds that `--help` and a mistyped flag need not take.
    from trainer.prediction.submission import COMPETITION, submit

    output = flags.FLAGS.output
    rows = submit(
        flags.FLAGS.run_dir,
        output,
        split=flags.FLAGS.split,
        sample_submission=flags.FLAGS.sample_submission,
        **prediction_options(),
    )
    print(
        f"{output}: {rows:,} products, one row each, read back and checked.\n"
        "Upload it (`pip install kaggle`, with an API token):\n"
        f"  kaggle competitions submit -c {COMPETITION} -f {output} "
        f'-m "{pathlib.Path(flags.FLAGS.run_dir).name}"'
    )


def _define_flags() -> None:
    define_prediction_flags()
    flags.DEFINE_string("split", "test", "The products to predict.")
    flags.DEFINE_string(
        "output", None, "The file to write, .csv or .csv.gz (compressed).", required=True
    )
    flags.DEFINE_string(
        "sample_submission",
        None,
        "The competition's sample_submission.csv: the products must be the same, else nothing is "
        "predicted.",
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
