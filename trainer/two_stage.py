"""Solution 1 to its end: a network for level 1, then a specialist within each level-1 category.

    python -m trainer.two_stage --run_dir=runs/two-stage --model=solution1_2 --epochs=10

The same command again skips the networks that are finished and continues the one that was stopped.
"""

from __future__ import annotations

from absl import app, flags

from trainer.settings.experiments import EXPERIMENTS
from trainer.settings.flags import MODELS, config_from_flags, define_config_flags
from trainer.terminal import command


def main(argv: list[str]) -> None:
    """Parses, calls, prints what comes next."""
    if len(argv) > 1:
        raise app.UsageError(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    # Imports TensorFlow: seconds that `--help` and a mistyped flag need not take.
    from trainer.data.dataset import open_dataset
    from trainer.training.two_stage import stage_configs, train_two_stage

    config, explicit = config_from_flags(
        {name: experiment.config for name, experiment in EXPERIMENTS.items()}
    )
    data = open_dataset(config.data_dir)
    level1, specialist = stage_configs(
        config,
        data,
        explicit,
        specialist_model=flags.FLAGS.specialist_model,
        specialist_epochs=flags.FLAGS.specialist_epochs,
    )
    run_dir = flags.FLAGS.run_dir or f"runs/two-stage-{config.model}-{config.optimizer}"
    run = train_two_stage(level1, specialist, run_dir, data)
    print(
        "Next:\n"
        f"  python -m trainer.evaluate --run_dir={run.path}\n"
        f"  python -m trainer.submit --run_dir={run.path} --output=submission.csv.gz\n"
        f"  python -m trainer.report {run.path} --output=report.html"
    )


def _define_flags() -> None:
    define_config_flags(tuple(EXPERIMENTS))
    flags.DEFINE_string(
        "run_dir", None, "Folder of the run. Default: runs/two-stage-MODEL-OPTIMIZER."
    )
    flags.DEFINE_enum(
        "specialist_model", None, MODELS, "The specialists' network. Default: that of --model."
    )
    flags.DEFINE_integer(
        "specialist_epochs",
        None,
        "Passes of each specialist over its products. Default: --epochs.",
        lower_bound=1,
    )


if __name__ == "__main__":
    _define_flags()
    command.run(main)
