"""How a run predicts: the options that the commands share."""

from __future__ import annotations

import dataclasses

from trainer.data.decoder_table import DECODERS
from trainer.prediction.joining_rules import MEANS
from trainer.prediction.views import Views, parsed_scales
from trainer.runs.state import CHECKPOINTS
from trainer.terminal.option import option

_PREDICTION, _DATA, _MACHINE = "Prediction", "Data", "Machine"


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
        "Average each picture with its mirror image: half as fast.",
        group=_PREDICTION,
    )
    scales: str = option(
        "1",
        "Average each picture at these magnifications about its centre, on white: --scales=1,1.15 "
        "takes half as many pictures per second; with --flip, each is mirrored as well.",
        group=_PREDICTION,
    )

    @property
    def views(self) -> Views:
        """How often and how each picture is looked at; raises OptionError for wrong scales."""
        return Views(self.flip, parsed_scales(self.scales))


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """Where the pictures come from, and how they are read."""

    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the run "
        "found it.",
        group=_DATA,
        is_path=True,
        any_storage=True,
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
class SourceOptions(InputOptions, NetworkOptions):
    """How to predict products, from a data set or from photos."""

    mean: str = option(
        "arithmetic",
        "How to join the probabilities of a product's pictures. auto: the rule with the highest "
        "accuracy by product on the run's validation split, which is predicted once more for it.",
        group=_PREDICTION,
        choices=(*MEANS, "auto"),
    )
    keep_predictions: bool = option(
        True,
        "Keep each picture's probabilities in the run's folder (predictions/), so that another "
        "--mean, --run_weights or --calibrate takes seconds: 4 bytes per class and picture, and "
        "776 bytes per picture of more than 128 classes, of which the 128 most probable are kept.",
        group=_PREDICTION,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionOptions(SourceOptions):
    """How to predict the products of a split."""

    known_pictures: bool = option(
        False,
        "A product takes the category of its picture's exact copies in the run's training split, "
        "if they all have the same one. Reads both splits once more, without decoding; an "
        "evaluation only reports what it would change.",
        group=_PREDICTION,
    )
