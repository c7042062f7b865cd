"""Trains the study's Solution 1: a level-1 network, and a specialist for each of its categories.

    python -m trainer.two_stage --run_dir=runs/two-stage --model=solution1_2 --epochs=10

The same command again skips finished networks and resumes the one that was interrupted.
"""

from __future__ import annotations

import dataclasses
import pathlib

from trainer.models.network_table import MODELS
from trainer.settings.settings import Settings
from trainer.terminal import command
from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of the command that are not settings of the networks."""

    run_dir: str | None = option(
        None,
        "Folder of the run. Default: runs/two-stage-MODEL-OPTIMIZER.",
        group="Run",
        is_path=True,
        any_storage=True,
    )
    specialist_model: str | None = option(
        None,
        "The specialists' network. Default: that of --model.",
        group="Specialists",
        choices=MODELS,
    )
    specialist_epochs: int | None = option(
        None,
        "Passes of each specialist over its products. Default: --epochs.",
        group="Specialists",
        at_least=1,
    )


def main(options: Options, settings: Settings) -> None:
    """Trains the networks and prints the next commands."""
    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.cluster.environment import require_alone
    from trainer.data.dataset import open_dataset
    from trainer.training.two_stage import stage_configs, train_two_stage

    require_alone("trainer.two_stage")
    data = open_dataset(settings.data_dir)
    level1, specialist = stage_configs(
        settings,
        data,
        specialist_model=options.specialist_model,
        specialist_epochs=options.specialist_epochs,
    )
    run_dir = options.run_dir or pathlib.Path(f"runs/two-stage-{level1.model}-{level1.optimizer}")
    run = train_two_stage(level1, specialist, run_dir, data)
    command.print_next(run.path, submits=True)


if __name__ == "__main__":
    command.run(main, Options, Settings)
