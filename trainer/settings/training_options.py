"""The settings of a run: loss, optimizer and schedule."""

from __future__ import annotations

import dataclasses

from trainer.models.optimizer_table import OPTIMIZERS, SCHEDULES
from trainer.models.precision import PRECISIONS
from trainer.terminal.option import option

_TRAINING = "Training"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a run trains."""

    level1_weight: float = option(
        0.0,
        "Weight of an additional loss: also tell apart the names of level 1. 0: none. 0.2, with "
        "the same for level 2, on the sample of docs/recipes.md: +0.7 points.",
        group=_TRAINING,
        at_least=0,
        since="0.3",
    )
    level2_weight: float = option(
        0.0,
        "Weight of an additional loss: also tell apart the names of level 2. 0: none.",
        group=_TRAINING,
        at_least=0,
        since="0.3",
    )
    class_balance: float = option(
        0.0,
        "Weigh each picture's loss by the number of its class's pictures to the power of minus "
        "this: 0 weighs all pictures alike, 1 all classes. 0.5 on the sample of docs/recipes.md: "
        "+1.3 points.",
        group=_TRAINING,
        at_least=0,
        at_most=1,
        since="0.3",
    )
    sampling_balance: float = option(
        0.0,
        "Like --class_balance, but show pictures of rare classes more often and those of frequent "
        "ones less, instead of weighing them. 0.5 on the sample of docs/recipes.md: +1.5 points.",
        group=_TRAINING,
        at_least=0,
        at_most=1,
        since="0.3",
    )
    distinct_epochs: int = option(
        0,
        "Epochs at the start that show pictures that are equal byte for byte only once. 2 of 6 on "
        "the sample of docs/recipes.md: no difference.",
        group=_TRAINING,
        at_least=0,
        since="0.3",
    )
    optimizer: str = option("adam", "The optimizer.", group=_TRAINING, choices=OPTIMIZERS)
    learning_rate: float | None = option(
        None,
        "Learning rate, or the peak of a schedule. Default: the optimizer's own.",
        group=_TRAINING,
        at_least=0,
    )
    fine_tune_learning_rate: float | None = option(
        None,
        "With --trainable=staged: learning rate of the second stage. Default: a tenth of "
        "--learning_rate.",
        group=_TRAINING,
        at_least=0,
    )
    schedule: str | None = option(
        None,
        "Course of the learning rate: constant, half a cosine down to 0, or two drops to a tenth. "
        "Default: cosine when all layers of a pretrained network are trained, else constant.",
        group=_TRAINING,
        choices=SCHEDULES,
    )
    warmup_epochs: float | None = option(
        None,
        "Epochs over which the learning rate first rises. Default: 1 (of at least 10) with cosine, "
        "else 0.",
        group=_TRAINING,
        at_least=0,
    )
    weight_decay: float | None = option(
        None,
        "Decoupled weight decay of the kernels. Default: the optimizer's own.",
        group=_TRAINING,
        at_least=0,
    )
    label_smoothing: float = option(
        0.0,
        "Share of the label spread over all classes. 0.1 on the sample of docs/recipes.md: no "
        "difference.",
        group=_TRAINING,
        at_least=0,
        below=1,
    )
    batch_size: int = option(32, "Pictures per training step.", group=_TRAINING, at_least=1)
    lanes: int = option(
        1,
        "Parts of the training pictures, each shuffled by itself, of which every batch has as many "
        "pictures. As many machines can share them, and the batches do not depend on how many do. "
        "Default: the number of machines that a run is begun on.",
        group=_TRAINING,
        at_least=1,
        since="0.3",
    )
    micro_batch: int = option(
        0,
        "Pictures that go through the network at once, on each device; their gradients are summed "
        "to those of --batch_size pictures. For batches that do not fit in the device's memory. 0: "
        "the whole batch. --batch_size=128 instead of 32, with the same --learning_rate, lost 8.1 "
        "points in the 60 steps of docs/recipes.md's sample.",
        group=_TRAINING,
        since="0.3",
        at_least=0,
    )
    layer_decay: float = option(
        1.0,
        "Factor of the learning rate from each group of layers to the one below: with 0.8, the "
        "layers near the pictures learn more slowly than the top. 1: the same rate for all. 0.9 on "
        "the sample of docs/recipes.md: -0.6 points, within chance.",
        group=_TRAINING,
        above=0,
        at_most=1,
        since="0.3",
    )
    clip_norm: float = option(
        0.0,
        "Largest norm of the gradient over all weights; 0: no limit. 1 on the sample of "
        "docs/recipes.md: +1.5 points.",
        group=_TRAINING,
        since="0.3",
        at_least=0,
    )
    epochs: int = option(
        10,
        "Passes over --train_split.",
        group=_TRAINING,
        at_least=1,
        may_change_on_resume=True,
    )
    early_stopping: int = option(
        0,
        "Stop when the validation loss has not improved for this many epochs; 0: never.",
        group=_TRAINING,
        at_least=0,
        may_change_on_resume=True,
    )
    ema_momentum: float = option(
        0.0,
        "Validate and keep a moving average of the weights with this momentum; 0: none. 0.98 lost "
        "3.1 points in the 60 steps of docs/recipes.md's sample: it is for long runs.",
        group=_TRAINING,
        at_least=0,
        below=1,
    )
    precision: str = option(
        "auto",
        "Arithmetic of the network. auto: the fastest that this machine computes in hardware.",
        group=_TRAINING,
        choices=PRECISIONS,
    )
    seed: int = option(
        0,
        "Seed of weights, shuffling and dropout.",
        group=_TRAINING,
        at_least=0,
        at_most=2**32 - 1,  # NumPy's limit
    )
    shuffle_buffer: int = option(
        16384,
        "Pictures (as JPEG bytes) to draw the next one from; about 5 KB of memory each.",
        group=_TRAINING,
        at_least=1,
    )
