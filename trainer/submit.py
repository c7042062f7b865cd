"""Writes the predictions of a run, or of several, as the competition's submission.

    python -m trainer.submit --run_dir=runs/cnn-adam --output=submission.csv.gz
    python -m trainer.submit --run_dirs=runs/a,runs/b --run_weights=fit --output=submission.csv.gz

The file has one row per product.
"""

from __future__ import annotations

import dataclasses
import pathlib

from trainer.cluster.options import ClusterOptions
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PredictionOptions, RunSelection, ClusterOptions):
    """The flags of the command."""

    split: str = option("test", "The products to predict.", group="Data")
    output: str = option(
        None,
        "The file to write, .csv or .csv.gz (compressed).",
        group="Run",
        is_path=True,
        any_storage=True,
        required=True,
    )
    sample_submission: str | None = option(
        None,
        "The competition's sample_submission.csv. The products must be the same, else nothing is "
        "predicted.",
        group="Data",
        is_path=True,
        any_storage=True,
    )


def main(options: Options) -> None:
    """Writes the submission and prints how to upload it."""
    # Imports TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import cluster_of
    from trainer.cluster.workers import join
    from trainer.prediction.submission import COMPETITION, submit_runs

    workers = join(cluster_of(), options.peer_timeout)
    rows = submit_runs(
        options,
        options.output,
        split=options.split,
        sample_submission=options.sample_submission,
        options=options,
        workers=workers,
    )
    if not workers.is_chief:
        return
    upload = ["kaggle", "competitions", "submit", "-c", COMPETITION, "-f", options.output]
    name = " ".join(pathlib.Path(folder).name for folder in options.folders)
    print(
        f"{options.output}: {rows:,} products, one row each, read back and checked.\n"
        "Upload it (`pip install kaggle`, with an API token):\n"
        f"  {command.quoted(*upload, '-m', name)}"
    )


if __name__ == "__main__":
    command.run(main, Options)
