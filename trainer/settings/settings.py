"""Every setting of a training run, each described once: flag, default and allowed values."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.data.augmentation_table import AUGMENTATIONS
from trainer.data.decoder_table import DECODERS
from trainer.data.label_map import TARGETS
from trainer.models.network_table import MODELS, PARTS
from trainer.models.optimizer_table import OPTIMIZERS, SCHEDULES
from trainer.models.precision import PRECISIONS
from trainer.settings.experiments import EXPERIMENTS
from trainer.terminal.option import option, options

TRAINABLE = (*PARTS, "staged")

_DATA, _NETWORK, _TRAINING = "Data", "Network", "Training"
_MACHINE, _LOG = "Machine", "Log and checkpoints"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The settings that `Settings` (requested) and `Config` (resolved) share.

    `trainer.settings.config.Config` narrows the types of those that `resolve` fills in.
    """

    experiment: str | None = option(
        None,
        "A preset: the settings of one of the study's experiments, or a recommended recipe. Other "
        "flags override it.",
        group="Preset",
        choices=EXPERIMENTS,
    )
    data_dir: str | None = option(
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: $TFDS_DATA_DIR, "
        "else ~/tensorflow_datasets.",
        group=_DATA,
        is_path=True,
        may_change_on_resume=True,
    )
    train_split: str = option(
        "train[:80%]",
        "Products to train on, in TFDS's sub-split notation: train[:80%], train[:800000], ...",
        group=_DATA,
    )
    validation_split: str = option(
        "train[80%:]",
        "Products to validate on after each epoch; they may not overlap --train_split.",
        group=_DATA,
    )
    target: str = option(
        "category",
        "What the network tells apart: the 5270 categories, or the names of level 1 or level 2.",
        group=_DATA,
        choices=TARGETS,
    )
    model: str = option("cnn", "The network.", group=_NETWORK, choices=MODELS)
    weights: str | None = option(
        None,
        "Weights that training starts from: `imagenet`, `none`, or a path to a .weights.h5 file. "
        "Default: imagenet for a pretrained network, none for the others.",
        group=_NETWORK,
        is_path=True,
    )
    trainable: str | None = option(
        None,
        "The part of a pretrained network to train: the new layers (head), the top two blocks as "
        "well (top_blocks), everything (all), or head first and then top_blocks, as the study did "
        "(staged). Default: all.",
        group=_NETWORK,
        choices=TRAINABLE,
    )
    head_epochs: int = option(
        2,
        "With --trainable=staged: epochs of the new layers alone, counted among --epochs.",
        group=_NETWORK,
        at_least=0,
    )
    cache_features: bool = option(
        True,
        "While the new layers train alone, compute the frozen base's features of each picture once "
        "and keep them on disk, instead of in every epoch. Pictures are not augmented then.",
        group=_NETWORK,
    )
    image_size: int = option(
        180,
        "Pixels a side. Pictures of another size are resized.",
        group=_NETWORK,
        at_least=1,
    )
    input_range: tuple[float, float] | None = option(
        None,
        "The numbers that the pixel values 0 and 255 become. Default: the network's own (0,1 for "
        "the study's, -1,1 for inception). Weights trained on other inputs need theirs.",
        group=_NETWORK,
    )
    dropout: float | None = option(
        None,
        "Dropout rate. Default: the network's own.",
        group=_NETWORK,
        at_least=0,
        below=1,
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
        "Share of the label spread over all classes.",
        group=_TRAINING,
        at_least=0,
        below=1,
    )
    augment: str | None = option(
        None,
        "Random changes to training pictures: mirror them, and shift them by up to a tenth. "
        "Default: flip_shift for a pretrained network, none for the others.",
        group=_TRAINING,
        choices=AUGMENTATIONS,
    )
    batch_size: int = option(32, "Pictures per training step.", group=_TRAINING, at_least=1)
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
        "Validate and keep a moving average of the weights with this momentum; 0: none.",
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
    # May change, so that a run can continue after a picture that DALI rejects (with a warning).
    decoder: str = option(
        "auto",
        "The JPEG decoder: TensorFlow (tf) or NVIDIA DALI (dali, of `make gpu`). auto: the one "
        "that a run to be continued has; else DALI if it is installed and there is a GPU.",
        group=_MACHINE,
        choices=DECODERS,
        may_change_on_resume=True,
    )
    eval_batch_size: int | None = option(
        None,
        "Pictures per validation step. Default: --batch_size, at least 64.",
        group=_MACHINE,
        at_least=1,
        may_change_on_resume=True,
    )
    features_dir: str | None = option(
        None,
        "Where --cache_features keeps features (InceptionV3: 4 KB a picture in 16-bit floats), for "
        "all runs with the same base and data. Default: .features beside the run's folder.",
        group=_MACHINE,
        is_path=True,
        may_change_on_resume=True,
    )
    log_every_steps: int = option(
        50,
        "Steps between two points of TensorBoard's curves within an epoch.",
        group=_LOG,
        at_least=1,
        may_change_on_resume=True,
    )
    checkpoint_minutes: float = option(
        10.0,
        "Minutes between two checkpoints within an epoch; each epoch also ends with one.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )
    checkpoint_steps: int = option(
        0,
        "Steps between two checkpoints within an epoch, instead of minutes; 0: by minutes.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )
    profile_steps: int = option(
        0,
        "Steps of the first epoch to profile for TensorBoard's Profile tab; 0: none.",
        group=_LOG,
        at_least=0,
        may_change_on_resume=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(RunOptions):
    """The settings that a user requested.

    None leaves the choice to the network, the data set or the machine.

    Attributes:
      given: names of the settings that the user gave; a preset does not replace those.
    """

    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Settings of which the user gave exactly `values`."""
        return cls(**values, given=frozenset(values))


MAY_CHANGE_ON_RESUME = frozenset(
    name for name, one in options(RunOptions).items() if one.may_change_on_resume
)
