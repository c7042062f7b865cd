"""Turns the cached features of products into batches, for the network over all their pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from trainer.data.labelled_split import LabelledSplit
from trainer.data.pipeline_threads import pipeline_options
from trainer.data.shuffle import derived_seed
from trainer.prediction.fused_predictor import PictureFeatures, padded
from trainer.prediction.joining_rules import Groups
from trainer.training.feature_pipeline import shuffled_groups
from trainer.training.product_features import ProductFeatures

# features float32 [n, p, f], mask bool [n, p], classes int32 [n]
_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
# Products to put side by side at a time: a group of them would take p times its memory.
_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class _Products:
    """Some products: features float32 [pictures, f], groups, and classes int32 [products]."""

    rows: np.ndarray
    groups: Groups
    classes: np.ndarray


def train_products(
    features: ProductFeatures,
    split: LabelledSplit,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    picture_dropout: float = 0.0,
    skip_steps: int = 0,
) -> tf.data.Dataset:
    """The batches of one epoch: every product with a class and a picture, shuffled.

    The same (seed, epoch) gives the same batches. A picture that cannot be decoded is left out; a
    product without any other has the features of a white one, so that the number of products does
    not depend on what can be decoded.

    Args:
      features: features of the split's products that have a class.
      split: the products and their classes.
      batch_size: products per batch; the last batch may be smaller.
      seed, epoch: seed and epoch of the shuffle and of what is left out.
      picture_dropout: probability that a picture is left out; at least one of a product stays.
      skip_steps: batches to skip at the start; the others do not change.

    Yields:
      ({"features": float32 [b, p, f], "mask": bool [b, p]}, classes int32 [b]), where p is the
      largest number of readable pictures of a product.
    """
    sources = _Sources(features, split)
    epoch_seed = derived_seed(seed, epoch, "products")

    def batches() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        parts = sources.shuffled(epoch_seed, picture_dropout, skip_steps * batch_size)
        for inputs, mask, classes in _batches(parts, batch_size):
            yield {"features": inputs, "mask": mask}, classes

    most = sources.most
    steps = -(-sum(sources.products) // batch_size)
    inputs = {
        "features": tf.TensorSpec([None, most, len(features.white)], tf.float32),
        "mask": tf.TensorSpec([None, most], tf.bool),
    }
    return (
        tf.data.Dataset.from_generator(
            batches, output_signature=(inputs, tf.TensorSpec([None], tf.int32))
        )
        .apply(tf.data.experimental.assert_cardinality(max(0, steps - skip_steps)))
        .prefetch(8)
        .with_options(pipeline_options())
    )


def _batches(parts: Iterator[_Rows], batch_size: int) -> Iterator[_Rows]:
    """Cuts rows into batches; all but the last have `batch_size` rows."""
    rest: _Rows | None = None
    for part in parts:
        rest = part if rest is None else _joined(rest, part)
        while len(rest[0]) >= batch_size:
            yield _cut(rest, slice(0, batch_size))
            rest = _cut(rest, slice(batch_size, None))
    if rest is not None and len(rest[0]):
        yield rest


def _joined(one: _Rows, other: _Rows) -> _Rows:
    return (
        np.concatenate([one[0], other[0]]),
        np.concatenate([one[1], other[1]]),
        np.concatenate([one[2], other[2]]),
    )


def _cut(rows: _Rows, places: slice) -> _Rows:
    return rows[0][places], rows[1][places], rows[2][places]


def stored_pictures(features: ProductFeatures, batch_size: int) -> Iterator[PictureFeatures]:
    """Yields the features of every picture once, in the records' order."""
    begin = 0
    for number, end in enumerate(features.ends):
        rows, ordinals = features.rows(number), features.ordinals[begin:end]
        for start in range(0, len(rows), batch_size):
            yield ordinals[start : start + batch_size], rows[start : start + batch_size]
        begin = end


@dataclasses.dataclass(frozen=True)
class _Kept:
    """Which pictures stay in training.

    Attributes:
      drawn: bool [products, p].
      place: float64 [products], in [0, 1), the picture of a product that stays in any case.
    """

    drawn: np.ndarray
    place: np.ndarray

    def __call__(self, products: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """bool [n, p] of n products with so many pictures."""
        kept = self.drawn[products]
        kept[np.arange(len(counts)), (self.place[products] * counts).astype(np.int64)] = True
        return kept


class _Sources:
    """The products by the file in which they begin, and those without a readable picture.

    Attributes:
      sizes: number of pictures of each source.
      products: number of products of each source.
      most: p, the largest number of readable pictures of a product.
    """

    def __init__(self, features: ProductFeatures, split: LabelledSplit):
        self._features, self._classes = features, split.classes
        groups = features.groups
        self.most = int(groups.counts.max(initial=1))
        self._ordinals = features.ordinals[groups.starts]
        readable = np.zeros(len(self._classes), bool)
        readable[self._ordinals] = True
        with_picture = (self._classes >= 0) & (split.split.index.num_pictures > 0)
        self._white = np.flatnonzero(with_picture & ~readable)
        begun = [features.begun_in(number) for number in range(features.num_files)]
        self.sizes = [int(groups.counts[own].sum()) for own in begun] + [len(self._white)]
        self.products = [own.stop - own.start for own in begun] + [len(self._white)]

    def shuffled(self, seed: int, picture_dropout: float, skip: int) -> Iterator[_Rows]:
        """Yields all products in random order, some at a time, without the first `skip`."""
        row_bytes = 4 * len(self._features.white)
        for number, group in enumerate(shuffled_groups(self.sizes, row_bytes, seed)):
            rng = np.random.default_rng([seed, number])
            count = sum(self.products[source] for source in group)
            order = rng.permutation(count)
            kept = _Kept(rng.random([count, self.most]) >= picture_dropout, rng.random(count))
            order, skip = order[skip:], max(0, skip - count)
            if not len(order):
                continue
            products = self._load(group)
            for some in np.split(order, range(_AT_ONCE, len(order), _AT_ONCE)):
                chosen = Groups(products.groups.starts[some], products.groups.counts[some])
                features, mask = padded(products.rows, chosen, self.most)
                mask &= kept(some, chosen.counts)
                yield features * mask[..., None], mask, products.classes[some]

    def _load(self, group: list[int]) -> _Products:
        """The products of some sources."""
        rows, counts, ordinals = [], [], []
        for number in group:
            if number == self._features.num_files:
                white = self._features.white
                rows.append(np.broadcast_to(white, [len(self._white), len(white)]))
                counts.append(np.ones(len(self._white), np.int64))
                ordinals.append(self._white)
                continue
            own = self._features.begun_in(number)
            rows.append(self._features.rows_of_begun(number))
            counts.append(self._features.groups.counts[own])
            ordinals.append(self._ordinals[own])
        numbers = np.concatenate(counts)
        groups = Groups(np.cumsum(numbers) - numbers, numbers)
        return _Products(np.concatenate(rows), groups, self._classes[np.concatenate(ordinals)])
