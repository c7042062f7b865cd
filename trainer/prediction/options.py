"""How a run predicts: the options that evaluation and submission share."""

from __future__ import annotations

import dataclasses

from trainer.data.decoder_table import DECODERS
from trainer.prediction.averaging import MEANS
from trainer.runs.state import CHECKPOINTS
from trainer.terminal.option import option

_RUN, _PREDICTION, _DATA, _MACHINE = "Run", "Prediction", "Data", "Machine"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which weights of a run to use, and how to predict a picture."""

    checkpoint: str = option(
        "best",
        "The epoch with the lowest validation loss (best), or the last one.",
        group=_PREDICTION,
        choices=CHECKPOINTS,
    )
    flip: bool = option(
        False,
        "Average each picture with its mirror image: a little better, half as fast.",
        group=_PREDICTION,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionOptions(NetworkOptions):
    """How to predict the products of a split."""

    mean: str = option(
        "arithmetic",
        "How to average the probabilities of a product's pictures.",
        group=_PREDICTION,
        choices=MEANS,
    )
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the run "
        "found it.",
        group=_DATA,
        is_path=True,
    )
    batch_size: int | None = option(
        None,
        "Pictures per step. Default: the run's --eval_batch_size.",
        group=_MACHINE,
        at_least=1,
    )
    decoder: str = option(
        "auto",
        "The JPEG decoder: TensorFlow (tf) or NVIDIA DALI (dali, of `make gpu`). auto: DALI if it "
        "is installed and there is a GPU.",
        group=_MACHINE,
        choices=DECODERS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunDirectory:
    """The folder of the run that a command reads."""

    run_dir: str = option(
        None,
        "Folder of the run, plain or two-stage.",
        group=_RUN,
        is_path=True,
        required=True,
    )
