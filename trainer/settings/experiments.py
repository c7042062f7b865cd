"""The study's experiments as presets, with their published results, and a recommended recipe.

The study (a capstone report by J. Nacino) trained on decoded pictures in [0, 1] in batches of 20
and kept the checkpoint with the best validation loss. Comments next to the presets name what it did
not publish. Its epochs took about 11,000 s for 800,000 pictures on a GTX 1070 (71 pictures/s).
"""

from __future__ import annotations

import dataclasses
from typing import Any

# Every experiment of the study validates on one product in five.
_STUDY_VALIDATION_PARTS = 5


class ExperimentError(ValueError):
    """The data set is too small for a preset."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A preset.

    Attributes:
      title: short description, for a row of a table.
      settings: the settings of `trainer.settings.settings` that it sets.
      train_products: number of products that the study trained on, over all chunks; None: all.
      validation_products: number of products that it validated on, likewise.
      num_chunks: number of parts of the data to train on in turn, one epoch each.
      validation_parts: it validates on one product in so many.
      published_accuracy: validation accuracy of the best epoch, or of each chunk.
      published_epoch: the best epoch, counted from 1.
      kaggle_score: published accuracy on the competition's test set.
      parameters: published number of parameters of the network.
    """

    title: str
    settings: dict[str, Any]
    train_products: int | None = None
    validation_products: int | None = None
    num_chunks: int = 1
    validation_parts: int = _STUDY_VALIDATION_PARTS
    published_accuracy: tuple[float, ...] = ()
    published_epoch: int | None = None
    kaggle_score: float | None = None
    parameters: int | None = None


def _study(model: str, optimizer: str, epochs: int, **settings: Any) -> dict[str, Any]:
    """The settings that the study's experiments share. The learning rates are Keras's defaults."""
    return {
        "model": model,
        "optimizer": optimizer,
        "epochs": epochs,
        "batch_size": 20,
        "input_range": (0.0, 1.0),
        "schedule": "constant",
        "augment": "none",
        **settings,
    }


def _solution1(model: str, epochs: int) -> dict[str, Any]:
    # The study names no optimizer here; RMSprop is the first one that it names later.
    return _study(model, "rmsprop", epochs, target="level1")


def _transfer(epochs: int) -> dict[str, Any]:
    # The study did not publish how many epochs trained only the new layers: the default of 2.
    return _study("inception", "adam", epochs, weights="imagenet", trainable="staged")


EXPERIMENTS: dict[str, Experiment] = {
    "solution1_exp1": Experiment(
        "Solution 1, exp. 1: two convolutions, 49 level-1 classes, six chunks",
        _solution1("solution1_1", epochs=6),
        train_products=240_000,
        validation_products=60_000,
        num_chunks=6,
        published_accuracy=(0.5756, 0.3516, 0.3504, 0.3131),  # of the first four chunks
        parameters=458_669,
    ),
    "solution1_exp2": Experiment(
        "Solution 1, exp. 2: three convolutions, 49 level-1 classes",
        _solution1("solution1_2", epochs=10),
        train_products=240_000,
        validation_products=60_000,
        published_accuracy=(0.5542,),
        published_epoch=6,
        parameters=491_729,
    ),
    "solution2_exp1": Experiment(
        "Solution 2, exp. 1: three convolutions, RMSprop",
        _study("cnn", "rmsprop", epochs=8),  # 18 planned, 8 run
        train_products=800_000,
        validation_products=200_000,
        published_accuracy=(0.153,),
        published_epoch=1,
        parameters=46_546_170,
    ),
    "solution2_exp2": Experiment(
        "Solution 2, exp. 2: three convolutions, Adam",
        _study("cnn", "adam", epochs=10),
        train_products=800_000,
        validation_products=200_000,
        published_accuracy=(0.2424,),
        published_epoch=4,
        kaggle_score=0.24686,
        parameters=46_546_170,
    ),
    "solution2_exp3": Experiment(
        "Solution 2, exp. 3: three convolutions, Adadelta",
        _study("cnn", "adadelta", epochs=10),
        train_products=800_000,
        validation_products=200_000,
        published_accuracy=(0.2045,),
        published_epoch=1,
        parameters=46_546_170,
    ),
    "solution2_exp4": Experiment(
        "Solution 2, exp. 4: two narrow convolutions, Adam",
        _study("cnn_small", "adam", epochs=10),
        train_products=800_000,
        validation_products=200_000,
        published_accuracy=(0.2069,),
        published_epoch=5,
        parameters=97_459_800,
    ),
    "solution2_exp5": Experiment(
        "Solution 2, exp. 5: InceptionV3, top layers, 1 million products",
        _transfer(epochs=8),
        train_products=800_000,
        validation_products=200_000,
        published_accuracy=(0.2987,),
        published_epoch=8,
    ),
    "solution2_exp6": Experiment(
        "Solution 2, exp. 6: InceptionV3, top layers, 2 million products",
        _transfer(epochs=10),
        train_products=1_600_000,
        validation_products=400_000,
        published_accuracy=(0.4671,),
        published_epoch=4,
        kaggle_score=0.46234,
    ),
    # Not from the study: the most accurate recipe that was measured, in docs/recipes.md.
    "best": Experiment(
        "EfficientNet-Lite2, all layers, pseudo labels",
        {
            "model": "efficientnet_lite2",
            "weights": "imagenet",
            "trainable": "all",
            "optimizer": "adamw",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_epochs": 1.0,
            "label_smoothing": 0.1,
            "batch_norm_momentum": 0.9,
            "augment": "flip",
            "zoom": (0.6, 1.6),
            "colour": 0.2,
            "batch_size": 32,
            "epochs": 10,
            "pseudo_label_split": "test",
        },
        validation_parts=20,
    ),
    # Not from the study: trains all layers, as the competition's best entries did.
    "inception_all": Experiment(
        "InceptionV3, all layers, all products",
        {
            "model": "inception",
            "optimizer": "adam",
            "trainable": "all",
            "learning_rate": 5e-4,
            "schedule": "cosine",
            "warmup_epochs": 1.0,
            "augment": "flip_shift",
            "batch_size": 32,
            "epochs": 9,
        },
    ),
}


@dataclasses.dataclass(frozen=True)
class PresetSplits:
    """The splits that a preset trains and validates on, in TFDS's notation.

    Attributes:
      train: all products that it trains on.
      validation: all products that it validates on.
      chunks: one (train, validation) pair per epoch; None if the experiment has no chunks.
      message: the differences from the published experiment, for the log; empty if there are none.
    """

    train: str
    validation: str
    chunks: tuple[tuple[str, str], ...] | None
    message: str


def resolve_splits(experiment: Experiment, num_products: int) -> PresetSplits:
    """Fits an experiment's products to a data set.

    Args:
      experiment: value of `EXPERIMENTS`.
      num_products: products in the data set's `train` split, which is in random order.

    Returns:
      Splits with the published numbers of products if the data set has that many, else with all of
      its products in the same proportion (in as many chunks as published).

    Raises:
      ExperimentError: if a chunk would have no product to train or validate on.
    """
    wanted = (experiment.train_products or 0) + (experiment.validation_products or 0)
    used = wanted if 0 < wanted <= num_products else num_products
    size = used // experiment.num_chunks
    parts = experiment.validation_parts
    if size < parts:
        least = parts * experiment.num_chunks
        raise ExperimentError(
            f"`{experiment.title}` needs at least {least} products to split. Received: a data set "
            f"of {num_products}."
        )
    pairs = tuple(_pair(size * chunk, size, parts) for chunk in range(experiment.num_chunks))
    message = ""
    if wanted > num_products:
        train = size - size // parts
        message = (
            f"The study used {experiment.train_products:,} products for training and "
            f"{experiment.validation_products:,} for validation; the data set has "
            f"{num_products:,}. Using the same proportion: "
            + (f"{experiment.num_chunks} chunks of " if experiment.num_chunks > 1 else "")
            + f"{train:,} and {size - train:,}."
        )
    return PresetSplits(
        train="+".join(train for train, _ in pairs),
        validation="+".join(validation for _, validation in pairs),
        chunks=pairs if experiment.num_chunks > 1 else None,
        message=message,
    )


def _pair(start: int, size: int, parts: int) -> tuple[str, str]:
    """Splits `size` products from `start` on: the last of `parts` equal parts, and those before."""
    middle = start + size - size // parts
    return f"train[{start}:{middle}]", f"train[{middle}:{start + size}]"
