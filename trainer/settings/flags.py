"""The flags of a training run, and the settings that they stand for."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from trainer.data.label_map import TARGETS
from trainer.settings.config import Config, ConfigError

# Names only: reading the tables themselves would import TensorFlow before `--help` can print.
# A test holds them against the tables.
MODELS = ("cnn", "cnn_small", "inception", "logistic", "solution1_1", "solution1_2")
OPTIMIZERS = ("adadelta", "adam", "adamw", "nadam", "rmsprop", "sgd")
PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
SCHEDULES = ("constant", "cosine", "step")
AUGMENTATIONS = ("none", "flip", "flip_shift")
TRAINABLE = ("head", "top_blocks", "all", "staged")
DECODERS = ("auto", "tf", "dali")
_DEFAULTS = Config()


def define_config_flags(experiments: tuple[str, ...]) -> None:
    """Defines one flag for each setting of `Config` that a user chooses.

    Args:
      experiments: names of the presets.
    """
    _define_data_flags()
    _define_network_flags()
    _define_training_flags(experiments)
    _define_machine_flags()


def _define_data_flags() -> None:
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where `tfds build cdiscount` put the data set (its --data_dir). Default: "
        "$TFDS_DATA_DIR, else ~/tensorflow_datasets.",
    )
    flags.DEFINE_string(
        "train_split",
        _DEFAULTS.train_split,
        "Products to train on, in TFDS's sub-split notation: train[:80%], train[:800000], ...",
    )
    flags.DEFINE_string(
        "validation_split",
        _DEFAULTS.validation_split,
        "Products to validate on after each epoch; they may not overlap --train_split.",
    )
    flags.DEFINE_enum(
        "target",
        _DEFAULTS.target,
        TARGETS,
        "What the network tells apart: the 5270 categories, or the names of level 1 or level 2.",
    )


def _define_network_flags() -> None:
    flags.DEFINE_enum("model", _DEFAULTS.model, MODELS, "The network.")
    flags.DEFINE_string(
        "weights",
        None,
        "Weights that training starts from: `imagenet`, `none`, or a path to a .weights.h5 file. "
        "Default: imagenet for inception, none for the others.",
    )
    flags.DEFINE_enum(
        "trainable",
        None,
        TRAINABLE,
        "The part of a pretrained network that is trained: the new layers (head), the top two "
        "blocks as well (top_blocks), everything (all), or head first and then top_blocks, as the "
        "study did (staged). Default: all.",
    )
    flags.DEFINE_integer(
        "head_epochs",
        _DEFAULTS.head_epochs,
        "With --trainable=staged: epochs of the new layers alone, of --epochs in all.",
        lower_bound=0,
    )
    flags.DEFINE_bool(
        "cache_features",
        _DEFAULTS.cache_features,
        "While the new layers are trained alone, compute once what the frozen base makes of each "
        "picture and keep it on disk, instead of in every epoch. Pictures are not augmented then.",
    )
    flags.DEFINE_integer(
        "image_size",
        _DEFAULTS.image_size,
        "Pictures of another size are resized to this many pixels a side.",
        lower_bound=1,
    )
    flags.DEFINE_list(
        "input_range",
        None,
        "Two numbers, low,high: what the pixel values 0 and 255 become. Default: the network's own "
        "(0,1 for the study's, -1,1 for inception). Weights trained on other inputs need theirs.",
    )
    flags.DEFINE_float("dropout", None, "Dropout rate; default: the network's own.")


def _define_training_flags(experiments: tuple[str, ...]) -> None:
    flags.DEFINE_enum(
        "experiment",
        None,
        experiments,
        "A preset: the settings of one of the study's experiments, or a recommended recipe. Other "
        "flags override it.",
    )
    flags.DEFINE_enum("optimizer", _DEFAULTS.optimizer, OPTIMIZERS, "The optimizer.")
    flags.DEFINE_float(
        "learning_rate",
        None,
        "Learning rate, or the peak of a schedule. Default: the optimizer's own.",
    )
    flags.DEFINE_float(
        "fine_tune_learning_rate",
        None,
        "With --trainable=staged: learning rate of the second stage. Default: a tenth of "
        "--learning_rate.",
    )
    flags.DEFINE_enum(
        "schedule",
        None,
        SCHEDULES,
        "Course of the learning rate: constant, half a cosine down to 0, or two drops to a tenth. "
        "Default: cosine when all layers of a pretrained network are trained, else constant.",
    )
    flags.DEFINE_float(
        "warmup_epochs",
        None,
        "Epochs over which the learning rate first rises. Default: 1 (of at least 10) with cosine, "
        "else 0.",
    )
    flags.DEFINE_float(
        "weight_decay", None, "Decoupled weight decay of the kernels; default: the optimizer's own."
    )
    flags.DEFINE_float(
        "label_smoothing", _DEFAULTS.label_smoothing, "Share of the label spread over all classes."
    )
    flags.DEFINE_enum(
        "augment",
        None,
        AUGMENTATIONS,
        "Random changes to training pictures: mirror them, and shift them by up to a tenth. "
        "Default: flip_shift for inception, none for the others.",
    )
    flags.DEFINE_integer(
        "batch_size", _DEFAULTS.batch_size, "Pictures a training step.", lower_bound=1
    )
    flags.DEFINE_integer("epochs", _DEFAULTS.epochs, "Passes over --train_split.", lower_bound=1)
    flags.DEFINE_integer(
        "early_stopping",
        _DEFAULTS.early_stopping,
        "Stop when the validation loss has not improved for this many epochs; 0: never.",
    )
    flags.DEFINE_float(
        "ema_momentum",
        _DEFAULTS.ema_momentum,
        "Validate and keep a moving average of the weights with this momentum; 0: none.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    flags.DEFINE_enum(
        "precision",
        _DEFAULTS.precision,
        PRECISIONS,
        "Arithmetic of the network. auto: the fastest that this machine computes in hardware.",
    )
    flags.DEFINE_integer("seed", _DEFAULTS.seed, "Seed of weights, shuffling and dropout.")
    flags.DEFINE_integer(
        "shuffle_buffer",
        _DEFAULTS.shuffle_buffer,
        "Pictures (as JPEG bytes) among which the next is drawn; about 5 KB of memory each.",
        lower_bound=1,
    )


def _define_machine_flags() -> None:
    flags.DEFINE_enum(
        "decoder",
        _DEFAULTS.decoder,
        DECODERS,
        "Who decodes JPEGs: TensorFlow (tf) or NVIDIA DALI (dali, of `make gpu`). auto: the one "
        "that a run to be continued has; else DALI if it is installed and there is a GPU.",
    )
    flags.DEFINE_integer(
        "eval_batch_size",
        None,
        "Pictures a step of validation. Default: --batch_size, at least 64.",
        lower_bound=1,
    )
    flags.DEFINE_string(
        "features_dir",
        None,
        "Where --cache_features keeps features (InceptionV3: 4 KB a picture in 16-bit floats), for "
        "all runs with the same base and data. Default: .features beside the run's folder.",
    )
    flags.DEFINE_integer(
        "log_every_steps",
        _DEFAULTS.log_every_steps,
        "Steps between two points of TensorBoard's curves within an epoch.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "checkpoint_minutes",
        _DEFAULTS.checkpoint_minutes,
        "Minutes between two checkpoints within an epoch; each epoch's end has one too.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "checkpoint_steps",
        _DEFAULTS.checkpoint_steps,
        "Steps between two checkpoints within an epoch, instead of minutes; 0: by minutes.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "profile_steps",
        _DEFAULTS.profile_steps,
        "Steps of the first epoch to profile for TensorBoard's Profile tab; 0: none.",
        lower_bound=0,
    )


def config_from_flags(presets: dict[str, dict[str, Any]]) -> tuple[Config, frozenset[str]]:
    """The settings that the command line asks for, and the names of those that it gave itself.

    Args:
      presets: the settings of each experiment.

    Raises:
      ConfigError: if `--input_range` is not two rising numbers.
    """
    values = {
        field.name: flags.FLAGS[field.name].value
        for field in dataclasses.fields(Config)
        if field.name in flags.FLAGS
    }
    explicit = frozenset(name for name in values if flags.FLAGS[name].present)
    values["input_range"] = _parse_range(values["input_range"])
    if experiment := values["experiment"]:
        values |= {
            name: value for name, value in presets[experiment].items() if name not in explicit
        }
    return Config(**values), explicit


def _parse_range(texts: list[str] | None) -> tuple[float, float] | None:
    if not texts:
        return None
    try:
        low, high = (float(text) for text in texts)
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise ConfigError(
            "--input_range must be two numbers, the lower first, e.g. --input_range=0,1. "
            f"Received: {','.join(texts)}."
        )
    return low, high
