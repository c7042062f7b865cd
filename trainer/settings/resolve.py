"""Fills in what a user left open: the defaults of the chosen network, data set and machine."""

from __future__ import annotations

import dataclasses

from absl import logging

from trainer.data.dataset import CdiscountData
from trainer.models.networks import MODELS, resolve_input_range
from trainer.models.optimizers import OPTIMIZERS
from trainer.models.precision import resolve_precision
from trainer.settings.config import Config, ConfigError
from trainer.settings.experiments import EXPERIMENTS, resolve_splits

TRAINABLE = ("head", "top_blocks", "all", "staged")


def resolve(config: Config, data: CdiscountData, explicit: frozenset[str] = frozenset()) -> Config:
    """Returns `config` with every None replaced and the published splits fitted to the data set.

    Args:
      config: settings as the user gave them; a preset's are already in.
      data: the data set that will be trained on.
      explicit: names of settings that the user gave; a preset's splits do not replace those.

    Raises:
      ConfigError: if a setting is not one of those that exist, or two contradict each other.
    """
    config = _with_published_splits(config, data, explicit)
    _check(config)
    entry = MODELS[config.model]
    trainable = config.trainable or "all"
    weights = config.weights or entry.default_weights
    # Training all layers of a pretrained network with a constant Adam step of 1e-3 destroys what
    # the weights know: warm up and decay instead, from the peak in the optimizer's table.
    fine_tuning = entry.pretrained and trainable == "all"
    schedule = config.schedule or ("cosine" if fine_tuning else "constant")
    warmup = config.warmup_epochs
    if warmup is None:
        warmup = min(1.0, config.epochs / 10) if schedule == "cosine" else 0.0
    learning_rate = config.learning_rate
    if learning_rate is None:
        optimizer = OPTIMIZERS[config.optimizer]
        learning_rate = (
            optimizer.fine_tune_learning_rate if fine_tuning else optimizer.learning_rate
        )
    fine_tune_rate = config.fine_tune_learning_rate
    if fine_tune_rate is None:
        fine_tune_rate = learning_rate / 10
    return dataclasses.replace(
        config,
        trainable=trainable,
        weights=weights,
        input_range=resolve_input_range(config.model, weights, config.input_range),
        schedule=schedule,
        warmup_epochs=warmup,
        learning_rate=learning_rate,
        fine_tune_learning_rate=fine_tune_rate,
        augment=config.augment or ("flip_shift" if entry.pretrained else "none"),
        precision=resolve_precision(config.precision),
        eval_batch_size=config.eval_batch_size or max(64, config.batch_size),
    )


def _with_published_splits(config: Config, data: CdiscountData, explicit: frozenset[str]) -> Config:
    """A preset's product counts where the data set has as many, else the same proportion."""
    if config.experiment is None or {"train_split", "validation_split"} & explicit:
        return config
    splits = resolve_splits(EXPERIMENTS[config.experiment], data.num_products("train"))
    if splits.message:
        logging.warning("%s", splits.message)
    return dataclasses.replace(
        config,
        train_split=splits.train,
        validation_split=splits.validation,
        chunks=splits.chunks,
        epochs=len(splits.chunks) if splits.chunks and "epochs" not in explicit else config.epochs,
    )


def _check(config: Config) -> None:
    entries = (
        ("model", config.model, MODELS),
        ("optimizer", config.optimizer, OPTIMIZERS),
        ("trainable", config.trainable or "all", TRAINABLE),
    )
    for name, value, allowed in entries:
        if value not in allowed:
            raise ConfigError(f"--{name} must be one of {', '.join(allowed)}. Received: {value!r}.")
    for name in ("batch_size", "epochs", "image_size", "shuffle_buffer"):
        if getattr(config, name) < 1:
            raise ConfigError(f"--{name} must be at least 1. Received: {getattr(config, name)}.")
    staged = config.trainable not in (None, "all")
    if staged and not MODELS[config.model].pretrained:
        raise ConfigError(
            f"--trainable={config.trainable} trains a part of a pretrained network; --model="
            f"{config.model} has no pretrained part. Leave --trainable out, or choose "
            "--model=inception."
        )
