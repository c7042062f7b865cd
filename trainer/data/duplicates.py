"""Finds products whose pictures are already in the training split, byte for byte.

Sellers share pictures, so a split by product can still have the same picture on both sides.
Memorised pictures say little about new products, so evaluations also report the accuracy without
them. But a shop may use what it knows: such a picture names the category that it has in training.

Both functions read the records of both splits once, without decoding pictures. Memory grows with
the number of pictures in the split (24 bytes each, and as much again while they are sorted), not
with those in training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cdisc_tfds.machine import num_cores
from cdisc_tfds.progress_line import ProgressLine
from trainer.data.dataset import Split
from trainer.data.pipeline_threads import pipeline_options
from trainer.data.record_reading import clear_record_errors, numbered_records, picture_parser

_RECORDS_PER_STEP = 1024
_NONE, _CONFLICT = -1, -2  # categories of a picture


def unseen_products(split: Split, training: Split) -> np.ndarray:
    """Marks the products that have no picture in `training`: bool [products of `split`]."""
    pictures = _Pictures(split)
    seen = np.zeros(len(pictures.hashes), bool)
    for _, places, _ in _found(pictures, training):
        seen[places[places >= 0]] = True
    # One shared picture is enough to exclude a product.
    unseen = np.ones(split.num_products, bool)
    unseen[pictures.product[seen[pictures.place]]] = False
    return unseen


def known_categories(split: Split, training: Split, counted: np.ndarray) -> np.ndarray:
    """The category of products that show a picture of `training`.

    A picture is known if all products of `training` that show it, and have a label, have the same
    category. A product takes the category of its known pictures; if they name different ones, none.

    Args:
      split: the products to look up; `training` holds none of them.
      training: labelled products.
      counted: bool [products of `training`], those to use.

    Returns:
      int32 [products of `split`], category labels; -1 if there is none.
    """
    pictures = _Pictures(split)
    category = np.full(len(pictures.hashes), _NONE, np.int32)
    label = np.where(counted, training.index.category, -1).astype(np.int32)
    for first, places, lengths in _found(pictures, training):
        own = np.repeat(label[first : first + len(lengths)], lengths)
        useful = (places >= 0) & (own >= 0)
        _merge(category, places[useful], own[useful])
    result = np.full(split.num_products, _NONE, np.int32)
    of_picture = category[pictures.place]
    known = of_picture >= 0
    _merge(result, pictures.product[known], of_picture[known])
    return np.maximum(result, -1)


def _merge(category: np.ndarray, places: np.ndarray, labels: np.ndarray) -> None:
    """Notes `labels` at `places`; a place that gets two different labels becomes _CONFLICT."""
    empty = category[places] == _NONE
    category[places[empty]] = labels[empty]  # of several labels for a place, one
    category[places[category[places] != labels]] = _CONFLICT


class _Pictures:
    """The pictures of a split.

    Attributes:
      hashes: int64, the distinct hashes, ascending.
      place: int64 [pictures], of each picture's hash in `hashes`.
      product: int64 [pictures], the ordinal of each picture's product.
    """

    def __init__(self, split: Split):
        hashes, products = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for first, batch_hashes, lengths in picture_hashes(split):
            hashes.append(batch_hashes)
            products.append(np.repeat(np.arange(first, first + len(lengths)), lengths))
        self.hashes, self.place = np.unique(np.concatenate(hashes), return_inverse=True)
        self.product = np.concatenate(products)


def _found(pictures: _Pictures, training: Split) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Looks up the pictures of `training`.

    Yields:
      per batch: ordinal of its first product; for each of its pictures, the place in
      `pictures.hashes`, or -1; pictures per product.
    """
    distinct = pictures.hashes
    line = ProgressLine("comparing with training", training.num_products, "products")
    for first, hashes, lengths in picture_hashes(training) if len(distinct) else ():
        places = np.minimum(np.searchsorted(distinct, hashes), len(distinct) - 1)
        yield first, np.where(distinct[places] == hashes, places, -1), lengths
        line.update(first + len(lengths))
    line.close()


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
