"""Several sources as one: the weighted mean of their probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from trainer.data.dataset import Split
from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.joining_rules import logarithms
from trainer.prediction.predictor import PredictionError
from trainer.prediction.sources import Source

_DIFFERENT = (
    "Runs that predict together must see the same readable pictures. One of them read others: the "
    "files of the data set changed meanwhile. Start the command again."
)


class MixedSource:
    """The weighted mean of several sources.

    Args:
      sources: they have the same classes.
      weights: one for each source; they sum to 1.
      mean: `arithmetic`, or `geometric`: the scaled exponential of the mean logarithm.
    """

    def __init__(self, sources: Sequence[Source], weights: Sequence[float], mean: str):
        self.label_map: LabelMap = sources[0].label_map
        self._sources, self._mean = tuple(sources), mean
        self._weights = np.array(weights, np.float32)

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        """As in Source. By picture, too, the probabilities are those of all runs together."""
        for batches in aligned([source.predict(split, products) for source in self._sources]):
            yield mixed_batch(batches, self._weights, self._mean)


def mixed_batch(batches: Sequence[ProductBatch], weights: np.ndarray, mean: str) -> ProductBatch:
    """The weighted mean of several predictions of the same products and pictures.

    Args:
      batches: one for each source.
      weights: float32, one for each; they sum to 1.
      mean: as in MixedSource.
    """
    return dataclasses.replace(
        batches[0],
        probabilities=_mixed([batch.probabilities for batch in batches], weights, mean),
        picture_probabilities=_mixed(
            [batch.picture_probabilities for batch in batches], weights, mean
        ),
    )


def _mixed(parts: Sequence[np.ndarray], weights: np.ndarray, mean: str) -> np.ndarray:
    if mean == "arithmetic":
        return _weighted_sum(parts, weights)
    logs = _weighted_sum([logarithms(part) for part in parts], weights)
    mixed = np.exp(logs - logs.max(axis=1, keepdims=True))
    return mixed / mixed.sum(axis=1, keepdims=True)


def _weighted_sum(parts: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Sum of weight * part, one part at a time: memory holds no stack of all parts."""
    total = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += part * weight
    return total


def aligned(streams: Sequence[Iterator[ProductBatch]]) -> Iterator[list[ProductBatch]]:
    """Cuts streams of the same products so that their batches end at the same products.

    Raises:
      PredictionError: if the streams differ in products or in readable pictures.
    """
    current = [_next(stream) for stream in streams]
    while batches := [batch for batch in current if batch is not None]:
        if len(batches) < len(streams):
            raise PredictionError(_DIFFERENT)
        number = min(len(batch.ordinals) for batch in batches)
        parts = [_rows(batch, 0, number) for batch in batches]
        first = parts[0]
        for part in parts[1:]:
            if not (
                np.array_equal(part.ordinals, first.ordinals)
                and np.array_equal(part.num_pictures, first.num_pictures)
            ):
                raise PredictionError(_DIFFERENT)
        yield parts
        current = [
            _rows(batch, number, len(batch.ordinals))
            if number < len(batch.ordinals)
            else _next(stream)
            for batch, stream in zip(batches, streams, strict=True)
        ]


def _next(stream: Iterator[ProductBatch]) -> ProductBatch | None:
    """The next batch with a product; None at the end."""
    return next((batch for batch in stream if len(batch.ordinals)), None)


def _rows(batch: ProductBatch, start: int, stop: int) -> ProductBatch:
    """Some products of a batch, with their pictures."""
    ends = np.concatenate([[0], np.cumsum(batch.num_pictures)])
    products, pictures = slice(start, stop), slice(ends[start], ends[stop])
    return ProductBatch(
        batch.ordinals[products],
        batch.probabilities[products],
        batch.num_pictures[products],
        batch.picture_ordinals[pictures],
        batch.picture_probabilities[pictures],
    )
