"""Fills in the settings that a user left open, for the network, data set and machine."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import logging

from cdisc_tfds.built_dataset import data_root
from trainer.data.dataset import CdiscountData
from trainer.models.network_table import MODELS, PRETRAINED_EXAMPLE
from trainer.models.networks import resolve_input_range
from trainer.models.optimizer_table import OPTIMIZERS
from trainer.models.precision import resolve_precision
from trainer.settings.config import Config, ConfigError
from trainer.settings.experiments import EXPERIMENTS, PresetSplits, resolve_splits
from trainer.settings.lanes import require_lanes
from trainer.settings.settings import RunOptions, Settings
from trainer.terminal.option import OptionError, options, require_allowed


def resolve(
    settings: Settings, data: CdiscountData, begun: Config | None = None, machines: int = 1
) -> Config:
    """Resolves the settings to train with.

    The user's settings take precedence, then the preset's, then the defaults.

    Args:
      settings: as the user gave them.
      data: the data set to train on.
      begun: config of the run to resume; None: a new run. The input range of pretrained weights
        comes from it, because a resumed run no longer needs their file.
      machines: number of machines to train on.

    Raises:
      ConfigError: if a setting has an invalid value, or two contradict each other.
      ExperimentError: if the data set is too small for a preset.
    """
    settings = _without_missing_split(with_preset(settings), data)
    _require_consistent(settings)
    splits = _preset_splits(settings, data)
    if splits is not None:
        settings = dataclasses.replace(
            settings, train_split=splits.train, validation_split=splits.validation
        )
        if splits.chunks and "epochs" not in settings.given:
            settings = dataclasses.replace(settings, epochs=len(splits.chunks))
    values = {name: getattr(settings, name) for name in options(RunOptions)}
    config = Config(
        **values | _filled_in(settings, begun) | _of_lanes(settings, begun, machines),
        chunks=splits.chunks if splits is not None else None,
    )
    require_lanes(config, machines)
    if config.layer_decay != 1 and config.precision == "mixed_float16":
        raise ConfigError(
            "--layer_decay trains each group of layers with an optimizer of its own, which cannot "
            "share the scale of float16's loss. Received: mixed_float16. Add "
            "--precision=float32 (or mixed_bfloat16, on hardware that has it)."
        )
    return config


def with_preset(settings: Settings) -> Settings:
    """Adds the preset's settings, except those that the user gave."""
    if settings.experiment is None:
        return settings
    preset = EXPERIMENTS.get(settings.experiment)
    if preset is None:
        raise ConfigError(str(options(Settings)["experiment"].error(repr(settings.experiment))))
    left = {name: value for name, value in preset.settings.items() if name not in settings.given}
    return dataclasses.replace(settings, **left)


def _without_missing_split(settings: Settings, data: CdiscountData) -> Settings:
    """Leaves out pseudo labels for `none`, and a preset's if the data set lacks their split."""
    split = settings.pseudo_label_split
    if split == "none":
        return dataclasses.replace(settings, pseudo_label_split=None)
    if split is None or "pseudo_label_split" in settings.given or split in data.split_sizes:
        return settings
    logging.warning(
        "The preset also learns from the split %r, which this data set does not have: it trains "
        "without pseudo labels.",
        split,
    )
    return dataclasses.replace(settings, pseudo_label_split=None)


def _filled_in(settings: Settings, begun: Config | None) -> dict[str, Any]:
    """Values of the settings that the user may leave open."""
    entry = MODELS[settings.model]
    trainable = settings.trainable or "all"
    weights = settings.weights or entry.default_weights
    # Training all layers of a pretrained network with a constant Adam step of 1e-3 destroys the
    # pretrained weights. So warm up and decay instead, with the peak from the optimizer's table.
    fine_tuning = entry.pretrained and trainable == "all"
    schedule = settings.schedule or ("cosine" if fine_tuning else "constant")
    warmup = settings.warmup_epochs
    if warmup is None:
        warmup = min(1.0, settings.epochs / 10) if schedule == "cosine" else 0.0
    learning_rate = settings.learning_rate
    if learning_rate is None:
        optimizer = OPTIMIZERS[settings.optimizer]
        learning_rate = (
            optimizer.fine_tune_learning_rate if fine_tuning else optimizer.learning_rate
        )
    fine_tune_rate = settings.fine_tune_learning_rate
    if begun and (begun.model, begun.weights) == (settings.model, weights):
        input_range = settings.input_range or begun.input_range
    else:
        input_range = resolve_input_range(settings.model, weights, settings.input_range)
    return {
        "data_dir": str(data_root(settings.data_dir)),
        "pseudo_label_after": _pseudo_label_after(settings, begun),
        "trainable": trainable,
        "weights": weights,
        "input_range": input_range,
        "schedule": schedule,
        "warmup_epochs": warmup,
        "learning_rate": learning_rate,
        "fine_tune_learning_rate": learning_rate / 10 if fine_tune_rate is None else fine_tune_rate,
        "augment": settings.augment or ("flip_shift" if entry.pretrained else "none"),
        "precision": _precision(settings, begun),
        "eval_batch_size": settings.eval_batch_size or max(64, settings.batch_size),
    }


def _of_lanes(settings: Settings, begun: Config | None, machines: int) -> dict[str, Any]:
    """The number of lanes, and the decoder, which must be TensorFlow's with several of them."""
    lanes = settings.lanes
    if "lanes" not in settings.given:
        lanes = machines if begun is None else begun.lanes
    several = lanes > 1 and settings.decoder == "auto"
    return {"lanes": lanes, "decoder": "tf" if several else settings.decoder}


def _precision(settings: Settings, begun: Config | None) -> str:
    """A run that was begun keeps its arithmetic, also where `auto` would choose another one."""
    if settings.precision == "auto" and begun is not None and begun.model == settings.model:
        return begun.precision
    return resolve_precision(settings.precision, depthwise=MODELS[settings.model].depthwise)


def _pseudo_label_after(settings: Settings, begun: Config | None) -> int | None:
    """As given, else of the run that was begun: more epochs must not change the earlier ones."""
    if settings.pseudo_label_split is None or settings.pseudo_label_after is not None:
        return settings.pseudo_label_after
    return _epochs_without(settings) if begun is None else begun.pseudo_label_after


def _epochs_without(settings: Settings) -> int:
    """Number of epochs before the first with pseudo labels."""
    return settings.pseudo_label_after or max(1, settings.epochs // 2)


def _preset_splits(settings: Settings, data: CdiscountData) -> PresetSplits | None:
    """The preset's splits; None without a preset, or if the user gave a split."""
    if settings.experiment is None or {"train_split", "validation_split"} & settings.given:
        return None
    splits = resolve_splits(EXPERIMENTS[settings.experiment], data.num_products("train"))
    if splits.message:
        logging.warning("%s", splits.message)
    return splits


def _require_consistent(settings: Settings) -> None:
    try:
        require_allowed(options(Settings).values(), settings)
    except OptionError as error:
        raise ConfigError(str(error)) from None
    staged = settings.trainable not in (None, "all")
    if staged and not MODELS[settings.model].pretrained:
        raise ConfigError(
            f"--trainable={settings.trainable} trains a part of a pretrained network; --model="
            f"{settings.model} has no pretrained part. Leave --trainable out, or choose another "
            f"network, such as --model={PRETRAINED_EXAMPLE}."
        )
    if settings.train_sizes:
        _require_sizes(settings, settings.train_sizes)
    if settings.pseudo_label_split is not None:
        _require_place_for_pseudo_labels(settings)


def _require_sizes(settings: Settings, sizes: tuple[int, ...]) -> None:
    entry = MODELS[settings.model]
    if entry.base is None:
        raise ConfigError(
            "--train_sizes is for networks that take pictures of any size, the pretrained ones. "
            f"Received: --model={settings.model}. Leave --train_sizes out, or choose another "
            f"network, such as --model={PRETRAINED_EXAMPLE}."
        )
    if min(sizes) < entry.min_image_size:
        raise ConfigError(
            f"--train_sizes must be at least {entry.min_image_size} for --model={settings.model}. "
            f"Received: {','.join(map(str, sizes))}."
        )


def _require_place_for_pseudo_labels(settings: Settings) -> None:
    after = _epochs_without(settings)
    if after >= settings.epochs:
        raise ConfigError(
            "--pseudo_label_after must be less than --epochs: the epochs after it train on pseudo "
            f"labels. Received: {after} of {settings.epochs} epochs."
        )
    if settings.distinct_epochs > after:
        raise ConfigError(
            "--distinct_epochs may be at most --pseudo_label_after: which pictures are equal is "
            f"known of the labelled products alone. Received: {settings.distinct_epochs} and "
            f"{after}."
        )
