"""Evaluates a finished run, or several together: every labelled product, exactly once.

    python -m trainer.evaluate --run_dir=runs/cnn-adam --split='train[80%:]'
    python -m trainer.evaluate --run_dirs=runs/a,runs/b --run_weights=fit --output=mixed.json

Prints a table and writes RUN/evaluation/SPLIT.json, or the file named by --output.
"""

from __future__ import annotations

import dataclasses

from trainer.cluster.options import ClusterOptions
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PredictionOptions, RunSelection, ClusterOptions):
    """The flags of the command."""

    output: str | None = option(
        None,
        "The .json file for the evaluation of several runs; that of one run is kept in its folder.",
        group="Run",
        is_path=True,
        any_storage=True,
    )
    split: str | None = option(
        None, "The products. Default: the runs' validation split.", group="Data"
    )
    calibrate: bool = option(
        False,
        "Fit the temperatures that make the probabilities honest, on the runs' validation split, "
        "which is predicted once more for it; kept in the run's folder. Accuracies do not change.",
        group="Prediction",
    )
    deduplicate: bool = option(
        True,
        "Also count only the products that share no picture with the run's training split.",
        group="Data",
    )


def main(options: Options) -> None:
    """Evaluates the run, prints the result and saves it."""
    # Imports TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import cluster_of
    from trainer.cluster.workers import join
    from trainer.prediction.evaluation import check_output, evaluate_runs, write_result
    from trainer.prediction.evaluation_table import table

    output = check_output(options, options.output)
    workers = join(cluster_of(), options.peer_timeout)
    result = evaluate_runs(
        options, options.split, options, options.deduplicate, options.calibrate, workers
    )
    if not workers.is_chief:
        return
    print(table(result), flush=True)
    print(f"\n{write_result(output or str(options.run_dir), result)}")


if __name__ == "__main__":
    command.run(main, Options)
