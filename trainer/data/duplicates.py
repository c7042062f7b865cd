"""Finds products whose pictures are already in the training split, byte for byte.

Sellers share pictures, so a split by product can still have the same picture on both sides.
Memorised pictures say little about new products, so evaluations also report the accuracy without
them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cdisc_tfds.machine import num_cores
from trainer.data.dataset import Split
from trainer.data.pipeline_threads import pipeline_options
from trainer.data.record_reading import clear_record_errors, numbered_records, picture_parser
from trainer.terminal.progress import ProgressLine

_RECORDS_PER_STEP = 1024


def unseen_products(split: Split, training: Split) -> np.ndarray:
    """Marks the products that have no picture in `training`: bool [products of `split`].

    Reads the records of both splits once, without decoding pictures. Memory grows with the number
    of pictures in `split` (17 bytes each), not in `training`.
    """
    hashes, products = [], []
    for first, batch_hashes, lengths in picture_hashes(split):
        hashes.append(batch_hashes)
        products.append(np.repeat(np.arange(first, first + len(lengths)), lengths))
    if not sum(map(len, hashes)):
        return np.ones(split.num_products, bool)
    distinct, place = np.unique(np.concatenate(hashes), return_inverse=True)
    seen = np.zeros(len(distinct), bool)
    line = ProgressLine("comparing with training", training.num_products, "products")
    for first, batch_hashes, lengths in picture_hashes(training):
        place_if_there = np.minimum(np.searchsorted(distinct, batch_hashes), len(distinct) - 1)
        seen[place_if_there[distinct[place_if_there] == batch_hashes]] = True
        line.update(first + len(lengths))
    line.close()
    # One shared picture is enough to exclude a product.
    unseen = np.ones(split.num_products, bool)
    unseen[np.concatenate(products)[seen[place]]] = False
    return unseen


def picture_hashes(split: Split) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields per batch: ordinal of its first product, picture hashes, pictures per product."""
    hashes_of = picture_parser(split, "image_hashes")
    dataset = (
        numbered_records(split, records_per_step=_RECORDS_PER_STEP)
        .map(
            lambda ordinals, records: (ordinals[0], hashes_of(ordinals, records)),
            num_parallel_calls=num_cores(),
        )
        .prefetch(2)
        .with_options(pipeline_options())
    )
    with clear_record_errors(split):
        for first, hashes in dataset:
            yield int(first), hashes.flat_values.numpy(), hashes.row_lengths().numpy()
