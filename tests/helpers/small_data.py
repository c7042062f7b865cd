"""A small data set without TFDS: coloured pictures in TFRecord files, for tests of the trainer."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.categories import Categories
from cdisc_tfds.product_index import ProductIndex
from cdisc_tfds.records import Product, RecordEncoder
from trainer.data.dataset import FilePart, Split
from trainer.settings.config import Config

SIZE = 16
CSV = """category_id,category_level1,category_level2,category_level3
1000010,HOME,LAMPS,DESK LAMP
1000020,HOME,LAMPS,FLOOR LAMP
1000030,BOOKS,NOVELS,CRIME
1000040,HOME,CHAIRS,STOOL
1000050,BOOKS,ATLASES,WORLD
1000060,MISC,MISC,MISC
"""


def picture(rng: np.random.Generator, label: int) -> bytes:
    """A JPEG with a colour that depends on the label."""
    colour = np.array([40 * label, 255 - 40 * label, 120])
    pixels = np.clip(colour + rng.integers(-30, 31, [SIZE, SIZE, 3]), 0, 255)
    return tf.io.encode_jpeg(pixels.astype(np.uint8), quality=95).numpy()


def make_products(labels, seed=0, first_id=10, unlabelled=False) -> list[Product]:
    """Products with 1 to 4 pictures each, and with shuffled ids that have gaps."""
    rng = np.random.default_rng(seed)
    ids = first_id + 3 * rng.permutation(len(labels))
    return [
        Product(
            int(product_id),
            [picture(rng, label) for _ in range(rng.integers(1, 5))],
            -1 if unlabelled else int(label),
        )
        for product_id, label in zip(ids, labels)
    ]


class SmallData:
    """Stands in for `trainer.data.dataset.CdiscountData`: splits by name and sums of them."""

    def __init__(self, folder: pathlib.Path, csv: str = CSV):
        self.folder = folder
        self.categories_path = folder / "category_names.csv"
        self.categories_path.write_text(csv)
        self.categories = Categories.from_csv(self.categories_path)
        self.splits: dict[str, Split] = {}

    def add(self, spec: str, products: list[Product], shards: int = 2) -> Split:
        encoder = RecordEncoder(self.categories)
        parts = []
        for shard, places in enumerate(np.array_split(np.arange(len(products)), shards)):
            path = str(self.folder / f"{spec}-{shard}.tfrecord")
            with tf.io.TFRecordWriter(path) as writer:
                for place in places:
                    writer.write(encoder.serialize(products[place]))
            if len(places):
                parts.append(FilePart(path, 0, len(places)))
        index = ProductIndex(
            np.array([product.product_id for product in products]),
            np.array([len(product.images) for product in products]),
            np.array([product.category for product in products]),
        )
        self.splits[spec] = Split(spec, tuple(parts), index)
        return self.splits[spec]

    def split(self, spec: str) -> Split:
        if "+" in spec:
            return self._sum(spec)
        if spec not in self.splits:
            raise DatasetError(f"A split is one of {', '.join(self.splits)}. Received: {spec!r}.")
        return self.splits[spec]

    def _sum(self, spec: str) -> Split:
        parts = [self.split(part) for part in spec.split("+")]
        index = ProductIndex(
            *(
                np.concatenate([getattr(part.index, field) for part in parts])
                for field in ("product_id", "num_pictures", "category")
            )
        )
        return Split(spec, tuple(file for part in parts for file in part.files), index)

    @property
    def split_sizes(self) -> dict[str, int]:
        return {name: split.num_products for name, split in self.splits.items()}

    def num_products(self, spec: str) -> int:
        return self.split(spec).num_products


def small_config(**changes) -> Config:
    """Resolved settings of a small run on `SmallData`."""
    values = {
        "train_split": "train",
        "validation_split": "validation",
        "model": "logistic",
        "weights": "none",
        "trainable": "all",
        "image_size": SIZE,
        "input_range": (0.0, 1.0),
        "learning_rate": 0.01,
        "fine_tune_learning_rate": 0.001,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "augment": "none",
        "batch_size": 8,
        "epochs": 1,
        "precision": "float32",
        "eval_batch_size": 8,
        "shuffle_buffer": 100,
        "decoder": "tf",
    }
    return Config(**values | changes)
