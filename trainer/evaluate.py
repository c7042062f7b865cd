"""Evaluates a finished run on a split: every labelled product, exactly once.

    python -m trainer.evaluate --run_dir=runs/cnn-adam --split='train[80%:]'

Prints a table and writes RUN/evaluation/SPLIT.json.
"""

from __future__ import annotations

import dataclasses

from trainer.prediction.options import PredictionOptions, RunDirectory
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PredictionOptions, RunDirectory):
    """The flags of the command."""

    split: str | None = option(
        None, "The products. Default: the run's validation split.", group="Data"
    )
    deduplicate: bool = option(
        True,
        "Also count only the products that share no picture with the run's training split.",
        group="Data",
    )


def main(options: Options) -> None:
    """Evaluates the run, prints the result and saves it."""
    # Imports TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.prediction.evaluation import evaluate_run, table, write_result

    result = evaluate_run(options.run_dir, options.split, options, options.deduplicate)
    print(table(result), flush=True)
    print(f"\n{write_result(options.run_dir, result)}")


if __name__ == "__main__":
    command.run(main, Options)
