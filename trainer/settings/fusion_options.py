"""The settings of a fused run, as flags of `trainer.fuse`."""

from __future__ import annotations

import dataclasses

from trainer.models.fusion_table import HEADS, JOINS
from trainer.models.optimizer_table import OPTIMIZERS, SCHEDULES
from trainer.settings.machine_options import MachineOptions
from trainer.terminal.option import option

_DATA, _NETWORK, _TRAINING = "Data", "Network", "Training"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionTrainingOptions:
    """What a fused run trains on, its network, and how it trains."""

    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: where the first "
        "run found it.",
        group=_DATA,
        is_path=True,
        any_storage=True,
    )
    train_split: str | None = option(
        None,
        "Products to train on. Default: those that the runs were trained on, if they are the same. "
        "Their features are over-confident there: products that no run has seen teach more.",
        group=_DATA,
    )
    validation_split: str | None = option(
        None,
        "Products to validate on after each epoch. Default: the runs' own, if it is the same. No "
        "run may have been trained on them.",
        group=_DATA,
    )
    join: str = option(
        "gated",
        "How to join a product's pictures: by means weighted with learnt scores, or by the largest "
        "value of each unit.",
        group=_NETWORK,
        choices=JOINS,
    )
    units: int = option(
        512,
        f"Units of the layer that is joined; for --join=gated a multiple of {HEADS}.",
        group=_NETWORK,
        at_least=1,
    )
    dropout: float = option(
        0.5, "Dropout rate of what is joined.", group=_NETWORK, at_least=0, below=1
    )
    picture_dropout: float = option(
        0.2,
        "Probability that a picture of a product is left out in training; at least one stays.",
        group=_NETWORK,
        at_least=0,
        below=1,
    )
    flip: bool = option(
        False,
        "Average the features of each picture with those of its mirror image, always: also in "
        "predictions, which take twice as long.",
        group=_NETWORK,
    )
    optimizer: str = option("adamw", "The optimizer.", group=_TRAINING, choices=OPTIMIZERS)
    learning_rate: float | None = option(
        None,
        "Learning rate, or the peak of a schedule. Default: the optimizer's own.",
        group=_TRAINING,
        at_least=0,
    )
    schedule: str = option(
        "cosine",
        "Course of the learning rate: constant, half a cosine down to 0, or two drops to a tenth.",
        group=_TRAINING,
        choices=SCHEDULES,
    )
    weight_decay: float | None = option(
        None,
        "Decoupled weight decay of the kernels. Default: the optimizer's own.",
        group=_TRAINING,
        at_least=0,
    )
    label_smoothing: float = option(
        0.0, "Share of the label spread over all classes.", group=_TRAINING, at_least=0, below=1
    )
    batch_size: int = option(128, "Products per training step.", group=_TRAINING, at_least=1)
    epochs: int = option(20, "Passes over --train_split.", group=_TRAINING, at_least=1)
    early_stopping: int = option(
        0,
        "Stop when the validation loss has not improved for this many epochs; 0: never.",
        group=_TRAINING,
        at_least=0,
    )
    ema_momentum: float = option(
        0.0,
        "Validate and keep a moving average of the weights with this momentum; 0: none.",
        group=_TRAINING,
        at_least=0,
        below=1,
    )
    seed: int = option(
        0,
        "Seed of weights, shuffling and dropout.",
        group=_TRAINING,
        at_least=0,
        at_most=2**32 - 1,  # NumPy's limit
    )


# Dataclasses collect the fields of the last base first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class FusionOptions(MachineOptions, FusionTrainingOptions):
    """How a fused run is trained, beside its members."""
