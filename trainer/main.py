"""Trains a network on the `cdiscount` data set, or continues a run that was stopped.

    python -m trainer.main --model=inception --optimizer=adam

A run's folder holds all that evaluation, submission, report and serving need. The same command with
the same --run_dir continues a run that was stopped, and does nothing for one that is finished.
"""

from __future__ import annotations

from absl import app, flags

from trainer.settings.experiments import EXPERIMENTS
from trainer.settings.flags import config_from_flags, define_config_flags
from trainer.terminal import command

define_config_flags(tuple(EXPERIMENTS))
flags.DEFINE_string(
    "run_dir",
    None,
    "Folder of the run. Default: runs/EXPERIMENT, or runs/MODEL-OPTIMIZER.",
)
flags.DEFINE_bool(
    "profile_input",
    False,
    "Do not train: measure how fast pictures arrive and how fast the network takes them, and say "
    "which is the limit.",
)


def main(argv: list[str]) -> None:
    """Parses, calls, prints what comes next."""
    if len(argv) > 1:
        raise app.UsageError(f"This command takes flags only. Received: {' '.join(argv[1:])}.")
    # TensorFlow is imported here, after the flags are checked: `--help` and a mistyped flag
    # answer at once.
    from trainer.data.dataset import open_dataset
    from trainer.settings.resolve import resolve
    from trainer.training.train import train

    config, explicit = config_from_flags(
        {name: experiment.config for name, experiment in EXPERIMENTS.items()}
    )
    data = open_dataset(config.data_dir)
    config = resolve(config, data, explicit)
    run_dir = flags.FLAGS.run_dir or default_run_dir(config)
    if flags.FLAGS.profile_input:
        from trainer.training.profile_input import profile_input

        print(profile_input(config, data))
        return
    run = train(config, run_dir, data)
    best = run.state["best"]
    row = run.history[best["epoch"]]
    submit = f"  python -m trainer.submit --run_dir={run.path} --output=submission.csv.gz\n"
    print(
        f"Best epoch {best['epoch'] + 1}: validation accuracy {row['val_product_accuracy']:.4f} by "
        f"product, {row['val_accuracy']:.4f} by picture.\n"
        "Next:\n"
        f"  python -m trainer.evaluate --run_dir={run.path}\n"
        f"{submit if config.target == 'category' else ''}"
        f"  python -m trainer.report {run.path} --output=report.html\n"
        f"  tensorboard --logdir={run.path.parent}"
    )


def default_run_dir(config) -> str:
    """`runs/NAME` below the working directory."""
    return f"runs/{config.experiment or f'{config.model}-{config.optimizer}'}"


if __name__ == "__main__":
    command.run(main)
