"""The flags that the commands for finished runs share."""

from __future__ import annotations

from typing import Any

from absl import flags

from trainer.settings.flags import DECODERS

# Names only, as in trainer/flags.py; a test holds them against `trainer.prediction.predictor`.
CHECKPOINTS = ("best", "last")
MEANS = ("arithmetic", "geometric")


def define_run_flag() -> None:
    """Defines `--run_dir`."""
    flags.DEFINE_string("run_dir", None, "Folder of the run, plain or two-stage.", required=True)


def define_prediction_flags() -> None:
    """Defines the flags of `prediction_options`, and `--run_dir` and `--data_dir`."""
    define_run_flag()
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the run "
        "found it.",
    )
    flags.DEFINE_integer(
        "batch_size", None, "Pictures a step. Default: the run's --eval_batch_size.", lower_bound=1
    )
    flags.DEFINE_enum(
        "checkpoint", "best", CHECKPOINTS, "The best epoch by validation loss, or the last epoch."
    )
    flags.DEFINE_bool(
        "flip", False, "Average each picture with its mirror image: a little better, half as fast."
    )
    flags.DEFINE_enum(
        "mean", "arithmetic", MEANS, "How the probabilities of a product's pictures are averaged."
    )
    flags.DEFINE_enum(
        "decoder",
        "auto",
        DECODERS,
        "Who decodes JPEGs: TensorFlow (tf) or NVIDIA DALI (dali, of `make gpu`). auto: DALI if it "
        "is installed and there is a GPU.",
    )


def prediction_options() -> dict[str, Any]:
    """The flags' values, as keyword arguments of `evaluate_run` and `submit`."""
    names = ("data_dir", "batch_size", "checkpoint", "flip", "mean", "decoder")
    return {name: flags.FLAGS[name].value for name in names}
