"""Products whose pictures a run has already seen in training, byte for byte.

Sellers share pictures: a split by product still has the same picture on both sides. What a network
knows by heart says little about new products, so the accuracy without them stands beside the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from trainer.data.dataset import Split
from trainer.data.decoding import num_cores
from trainer.data.pipeline_threads import pipeline_options
from trainer.terminal.progress import ProgressLine

_RECORDS_A_STEP = 1024
_FEATURES = {"image_hashes": tf.io.RaggedFeature(tf.int64)}


def unseen_products(split: Split, training: Split) -> np.ndarray:
    """bool [products of `split`]: those none of whose pictures is in `training`.

    Reads both splits' records once, without decoding a picture. Memory grows with the pictures of
    `split` (17 bytes each), not with those of `training`.
    """
    hashes, products = [], []
    for first, batch_hashes, lengths in _picture_hashes(split):
        hashes.append(batch_hashes)
        products.append(np.repeat(np.arange(first, first + len(lengths)), lengths))
    if not sum(map(len, hashes)):
        return np.ones(split.num_products, bool)
    distinct, place = np.unique(np.concatenate(hashes), return_inverse=True)
    seen = np.zeros(len(distinct), bool)
    line = ProgressLine("comparing with training", training.num_products, "products")
    for first, batch_hashes, lengths in _picture_hashes(training):
        place_if_there = np.minimum(np.searchsorted(distinct, batch_hashes), len(distinct) - 1)
        seen[place_if_there[distinct[place_if_there] == batch_hashes]] = True
        line.update(first + len(lengths))
    line.close()
    # One seen picture is enough.
    unseen = np.ones(split.num_products, bool)
    unseen[np.concatenate(products)[seen[place]]] = False
    return unseen


def _picture_hashes(split: Split) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields (ordinal of the first product, its and the next ones' hashes, pictures of each)."""
    paths, skips, takes = zip(*((part.path, part.skip, part.take) for part in split.files))
    dataset = (
        tf.data.Dataset.from_tensor_slices((list(paths), np.int64(skips), np.int64(takes)))
        .flat_map(lambda path, skip, take: tf.data.TFRecordDataset(path).skip(skip).take(take))
        .batch(_RECORDS_A_STEP)
        .map(
            lambda records: tf.io.parse_example(records, _FEATURES)["image_hashes"],
            num_parallel_calls=num_cores(),
        )
        .prefetch(2)
        .with_options(pipeline_options())
    )
    first = 0
    for hashes in dataset:
        lengths = hashes.row_lengths().numpy()
        yield first, hashes.flat_values.numpy(), lengths
        first += len(lengths)
