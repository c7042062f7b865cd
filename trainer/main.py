"""Trains a network on the `cdiscount` data set, or resumes a run.

    python -m trainer.main --model=inception --optimizer=adam

A run's folder holds everything that evaluation, submission, report and serving need. Repeat the
command with the same --run_dir to resume an interrupted run; a finished one stays as it is.
"""

from __future__ import annotations

import dataclasses
import pathlib

from trainer.settings.settings import Settings
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of the command that are not settings of the run."""

    run_dir: str | None = option(
        None,
        "Folder of the run. Default: runs/EXPERIMENT, or runs/MODEL-OPTIMIZER.",
        group="Run",
        is_path=True,
        any_storage=True,
    )
    profile_input: bool = option(
        False,
        "Do not train: measure how fast pictures arrive and how fast the network takes them, and "
        "say which is the limit.",
        group="Run",
    )


def main(options: Options, settings: Settings) -> None:
    """Trains the run and prints the next commands."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import cluster_of, require_alone
    from trainer.cluster.workers import join
    from trainer.data.dataset import open_dataset
    from trainer.runs.folder import RunFolder
    from trainer.settings.resolve import resolve, with_preset
    from trainer.training.profile_input import profile_input
    from trainer.training.train import train

    if options.profile_input:
        require_alone("--profile_input")
    workers = join(cluster_of(), settings.peer_timeout)
    data = open_dataset(settings.data_dir)
    asked = with_preset(settings)
    name = asked.experiment or f"{asked.model}-{asked.optimizer}"
    run_dir = options.run_dir or pathlib.Path("runs", name)
    config = resolve(settings, data, RunFolder(run_dir).begun, workers.this.count)
    if options.profile_input:
        print(profile_input(config, data))
        return
    run = train(config, run_dir, data, workers=workers)
    if not workers.is_chief:
        return
    if best := run.state.best:
        row = run.history[best.epoch]
        print(
            f"Best epoch {best.epoch + 1}: validation accuracy {row.val_product_accuracy:.4f} by "
            f"product, {row.val_accuracy:.4f} by picture."
        )
    command.print_next(run.path, submits=config.target == "category")


if __name__ == "__main__":
    command.run(main, Options, Settings)
