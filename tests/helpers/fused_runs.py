"""Small fused runs, and data in which the pictures of a product tell its class only together."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from cdisc_tfds.records import Product
from tests.helpers.network_runs import write_network_run
from tests.helpers.small_data import SIZE, SmallData
from trainer.models.networks import build_model
from trainer.runs.folder import RunFolder
from trainer.settings.config import Config
from trainer.settings.fusion_options import FusionOptions
from trainer.training.fuse import fusion_config


def write_members(
    folder: pathlib.Path, data: SmallData, number: int = 2, model: str = "logistic"
) -> list[RunFolder]:
    """Finished runs of untrained networks, each with other weights."""
    classes = data.categories.num_categories
    return [
        write_network_run(
            folder / f"member{seed}",
            data,
            best=build_model(model, classes, image_size=SIZE, seed=seed),
            model=model,
            epochs=2,
        )
        for seed in range(number)
    ]


def config_of(
    run_dir: pathlib.Path, members: list[RunFolder], data: SmallData, **changes
) -> Config:
    """Resolved settings of a small fused run."""
    values = {
        "units": 8,
        "epochs": 2,
        "batch_size": 8,
        "eval_batch_size": 8,
        "learning_rate": 0.01,
        "decoder": "tf",
        "log_every_steps": 2,
    }
    settings = FusionOptions(**values | changes)
    return fusion_config(settings, [str(run.path) for run in members], str(run_dir), data)


def plain_picture(shade: int, rng: np.random.Generator) -> bytes:
    """A nearly grey JPEG."""
    pixels = np.clip(shade + rng.integers(-10, 11, [SIZE, SIZE, 3]), 0, 255)
    return tf.io.encode_jpeg(pixels.astype(np.uint8), quality=95).numpy()


def paired_products(number: int, first_id: int, seed: int) -> list[Product]:
    """Products of two pictures, dark or light: class 0 if they are alike, else class 1.

    Each picture by itself is dark in half of the products of either class, and light in the others.
    """
    rng = np.random.default_rng(seed)
    products = []
    for place in range(number):
        first, second = place % 2, place // 2 % 2
        images = [plain_picture(40 + 160 * shade, rng) for shade in (first, second)]
        products.append(Product(first_id + place, images, int(first != second)))
    return products
