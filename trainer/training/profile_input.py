"""Measures whether the input or the network limits training on this machine."""

from __future__ import annotations

import time

import keras
import tensorflow as tf

from trainer.data.dataset import CdiscountData
from trainer.data.decoding import resolve_decoder
from trainer.data.input_pipeline import train_dataset
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.record_reading import clear_record_errors
from trainer.models.networks import build_model, set_trainable
from trainer.models.objective import Objective
from trainer.models.optimizers import build_optimizer
from trainer.settings.config import Config
from trainer.training.execution import choose_execution
from trainer.training.stages import stages
from trainer.training.step import TrainStep

_WARM_UP_STEPS = 5


def profile_input(config: Config, data: CdiscountData, seconds: float = 15.0) -> str:
    """Runs the pipeline alone and the training step alone for `seconds` each; returns the verdict.

    Args:
      config: resolved settings.
      data: the data set.
      seconds: measuring time of each, after a warm-up.
    """
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    labelled = LabelledSplit(data.split(config.train_split), label_map)
    dataset = train_dataset(
        labelled,
        batch_size=config.batch_size,
        image_size=config.image_size,
        seed=config.seed,
        epoch=0,
        augment=config.augmentation,
        shuffle_buffer=config.shuffle_buffer,
        decoder=resolve_decoder(config.decoder),
    )
    with clear_record_errors(labelled.split):
        input_rate = rate_of(dataset.repeat(), seconds)
        batch = next(iter(dataset))
    network_rate = _training_rate(config, label_map, batch, seconds)
    return verdict(input_rate, network_rate, config)


def rate_of(dataset: tf.data.Dataset, seconds: float) -> float:
    """Pictures per second that a batched data set delivers when nothing else runs."""
    iterator = iter(dataset)
    for _ in range(_WARM_UP_STEPS):
        next(iterator)
    pictures, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        pictures += int(next(iterator)[0].shape[0])
    return pictures / (time.monotonic() - start)


def _training_rate(
    config: Config, label_map: LabelMap, batch: tuple[tf.Tensor, tf.Tensor], seconds: float
) -> float:
    """Pictures per second of the training step on one batch in memory."""
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    model = build_model(
        config.model,
        label_map.num_classes,
        image_size=config.image_size,
        input_range=config.input_range,
        weights="none",  # the speed does not depend on them
        dropout=config.dropout,
        seed=config.seed,
    )
    set_trainable(model, stages(config)[0].name)
    optimizer = build_optimizer(
        config.optimizer, learning_rate=config.learning_rate, policy=config.precision
    )
    strategy = tf.distribute.get_strategy()
    execution = choose_execution(config, strategy)
    step = TrainStep(model, optimizer, Objective(), strategy, execution=execution)
    batches = step.iterator(tf.data.Dataset.from_tensors(batch).repeat())
    for _ in range(_WARM_UP_STEPS):
        step(batches)
    steps, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        for _ in range(_WARM_UP_STEPS):
            step(batches)
        step.metrics.values()  # waits for the device
        steps += _WARM_UP_STEPS
    return steps * int(batch[0].shape[0]) / (time.monotonic() - start)


def verdict(input_rate: float, network_rate: float, config: Config) -> str:
    """Text that states both rates, the limiting one, and what to change."""
    lines = [
        f"The pipeline delivers {input_rate:,.0f} pictures/s when it runs alone; the network "
        f"({config.model}, {config.precision}, batches of {config.batch_size}) takes "
        f"{network_rate:,.0f} pictures/s from memory."
    ]
    if input_rate >= 1.2 * network_rate:
        lines.append(
            "The network is the limit. A faster device, a larger --batch_size, a 16-bit "
            "--precision, or a smaller --image_size makes training faster; more processor cores "
            "for the input do not."
        )
    else:
        lines.append(
            "The input is the limit, or close to it. More processor cores, or a data set on a "
            "faster disk, make training faster; a faster device does not."
        )
    if config.trainable in ("head", "staged") and config.cache_features:
        lines.append(
            "While the new layers are trained alone neither is: the base's features are computed "
            "once and read from disk (--cache_features)."
        )
    return "\n".join(lines)
