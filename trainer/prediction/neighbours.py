"""The most similar products of each product."""

from __future__ import annotations

import dataclasses
import importlib
import time
import types
from typing import Protocol

import numpy as np
import tensorflow as tf

from cdisc_tfds.machine import num_cores
from cdisc_tfds.progress_line import ProgressLine, duration
from trainer.prediction.embedding_options import SEARCHES

# Up to here, exact search takes minutes on a few cores. It grows with the square of the number.
EXACT_PRODUCTS = 100_000
_QUERIES = 1024
_BLOCK = 65536  # products that queries are compared with at a time
_ADDED = 4096  # products that a graph gets at a time: seconds of a few cores
_INSTALL = "pip install 'cdiscount-image-classification[neighbours]'"
# Of the graph (HNSW): links of a node, and how many nodes are looked at. BUILD_NOTES has recalls.
_LINKS, _LOOK_BUILDING, _LOOK_SEARCHING = 16, 128, 128


class NeighbourError(ValueError):
    """Neighbours cannot be searched this way."""


class Index(Protocol):
    """Products among which others are searched."""

    def nearest(
        self, queries: np.ndarray, k: int, *, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k most similar products for each query.

        Args:
          queries: float16 or float32 [q, f], rows of length 1.
          k: from 1 to the number of products.
          progress: whether to show how far the search is.

        Returns:
          (int64 [q, k], places of the products, most similar first; float32 [q, k], cosines).
        """


def nearest(features: np.ndarray, k: int, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """The k products that are most similar to each product, itself excluded.

    Args:
      features: float16 [n, f], rows of length 1.
      k: from 1 to n - 1.
      method: one of SEARCHES. `exact` compares all with all, in matrix products (on a GPU if there
        is one). `approximate` searches a graph, and misses some. `auto`: as in `chosen`.

    Returns:
      (int64 [n, k], places of the neighbours, most similar first; float32 [n, k], their cosines).

    Raises:
      NeighbourError: if there are not k others, or the library for `approximate` is missing.
    """
    return nearest_among(features, features, np.arange(len(features)), k, method)


def nearest_among(
    queries: np.ndarray, features: np.ndarray, itself: np.ndarray, k: int, method: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """The k products of `features` that are most similar to each query, itself excluded.

    Args:
      queries: float16 [q, f], rows of length 1.
      features: float16 [n, f], rows of length 1.
      itself: int64 [q], the place of each query in `features`; -1 if it is not there.
      k: from 1 to n, or to n - 1 if a query is there.
      method: as in `nearest`.

    Returns:
      (int64 [q, k], places in `features`, most similar first; float32 [q, k], their cosines).

    Raises:
      NeighbourError: as in `nearest`.
    """
    are_there = bool((itself >= 0).any())
    require_searchable(k, method, len(features), len(queries), others=len(features) - are_there)
    index = index_of(features, method, len(queries))
    if not are_there:
        return index.nearest(queries, k, progress=True)
    return _without_itself(*index.nearest(queries, k + 1, progress=True), itself)


def index_of(features: np.ndarray, method: str = "auto", queries: int | None = None) -> Index:
    """An index of products.

    Args:
      features: float16 [n, f], rows of length 1.
      method, queries: as in `chosen`.

    Raises:
      NeighbourError: if the library for `approximate` is missing.
    """
    kind = ExactIndex if chosen(method, len(features), queries) == "exact" else GraphIndex
    return kind(features)


def require_searchable(
    k: int, method: str, products: int, queries: int | None = None, others: int | None = None
) -> None:
    """Raises NeighbourError unless k neighbours can be found.

    Args:
      k: of each query.
      method, products, queries: as in `chosen`.
      others: how many products are other ones than a query; default: all but one.
    """
    if method not in SEARCHES:
        raise NeighbourError(
            f"`method` must be one of {', '.join(SEARCHES)}. Received: {method!r}."
        )
    others = products - 1 if others is None else others
    if not 0 < k <= others:
        raise NeighbourError(
            f"--neighbours must be from 1 to {others} for {products:,} products. Received: {k}."
        )
    if chosen(method, products, queries) == "approximate":
        _library()


def chosen(method: str, products: int, queries: int | None = None) -> str:
    """`exact` or `approximate`.

    Args:
      method: one of SEARCHES. `auto`: exact for as many pairs as EXACT_PRODUCTS have among
        themselves, or with a GPU; else approximate.
      products: how many are searched.
      queries: how often; default: once for each product.
    """
    if method != "auto":
        return method
    pairs = products * (products if queries is None else queries)
    fast = pairs <= EXACT_PRODUCTS**2 or bool(tf.config.list_physical_devices("GPU"))
    return "exact" if fast else "approximate"


@dataclasses.dataclass(frozen=True, eq=False)
class ExactIndex:
    """Compares queries with all products.

    Attributes:
      features: float16 or float32 [n, f], rows of length 1.
    """

    features: np.ndarray | tf.Tensor

    def on_device(self) -> ExactIndex:
        """The same for queries that come a few at a time: nothing is copied for each of them.

        On processors, the features are in float32, because converting them would take as long as
        comparing them.
        """
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        return ExactIndex(tf.constant(self.features, None if has_gpu else tf.float32))

    def nearest(
        self, queries: np.ndarray, k: int, *, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in Index; of equals, the first product comes first."""
        features = self.features
        places = np.zeros([len(queries), 0], np.int64)
        cosines = np.zeros([len(queries), 0], np.float32)
        line = _line(progress, "comparing", len(queries) * len(features), "pairs")
        done = 0
        # A block stays on the device while all queries pass by.
        for start in range(0, len(features), _BLOCK):
            block = tf.cast(features[start : start + _BLOCK], tf.float32)
            best = []
            for first in range(0, len(queries), _QUERIES):
                own = tf.cast(queries[first : first + _QUERIES], tf.float32)
                top = tf.math.top_k(tf.matmul(own, block, transpose_b=True), min(k, len(block)))
                best.append((top.indices.numpy() + np.int64(start), top.values.numpy()))
                done += len(own) * len(block)
                line.update(done)
            places = np.concatenate([places, np.concatenate([one for one, _ in best])], axis=1)
            cosines = np.concatenate([cosines, np.concatenate([one for _, one in best])], axis=1)
            order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
            places = np.take_along_axis(places, order, axis=1)
            cosines = np.take_along_axis(cosines, order, axis=1)
        line.close()
        return places, cosines


class GraphIndex:
    """A graph of small worlds (HNSW), which misses a few neighbours.

    Args:
      features: float16 [n, f], rows of length 1; the graph has a copy of them.

    Raises:
      NeighbourError: if the library is missing.
    """

    def __init__(self, features: np.ndarray):
        self._index = _library().Index(
            ndim=features.shape[1],
            metric="ip",
            dtype="f16",
            connectivity=_LINKS,
            expansion_add=_LOOK_BUILDING,
            expansion_search=_LOOK_SEARCHING,
        )
        begun = time.monotonic()
        line = ProgressLine("building the graph", len(features), "products")
        for start in range(0, len(features), _ADDED):
            part = features[start : start + _ADDED]
            self._index.add(np.arange(start, start + len(part)), part, threads=num_cores())
            line.update(start + len(part))
        took = duration(time.monotonic() - begun)
        line.close(f"Built the graph of {len(features):,} products in {took}.")

    def nearest(
        self, queries: np.ndarray, k: int, *, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """As in Index."""
        self._index.expansion_search = max(_LOOK_SEARCHING, k)
        places = np.empty([len(queries), k], np.int64)
        cosines = np.empty([len(queries), k], np.float32)
        line = _line(progress, "searching neighbours", len(queries), "products")
        for start in range(0, len(queries), _BLOCK):
            rows = slice(start, start + _BLOCK)
            found = self._index.search(
                np.asarray(queries[rows], np.float16), k, threads=num_cores()
            )
            places[rows] = np.reshape(found.keys, [-1, k])
            cosines[rows] = 1 - np.reshape(found.distances, [-1, k])
            line.update(min(start + _BLOCK, len(queries)))
        line.close()
        return places, cosines


class _NoLine:
    """Shows nothing."""

    def update(self, done: int) -> None:
        """Ignores it."""

    def close(self) -> None:
        """Does nothing."""


def _line(progress: bool, label: str, total: int, unit: str) -> ProgressLine | _NoLine:
    return ProgressLine(label, total, unit) if progress else _NoLine()


def _library() -> types.ModuleType:
    try:
        return importlib.import_module("usearch.index")
    except ImportError as error:
        raise NeighbourError(
            f"Approximate neighbours need the package usearch: {_INSTALL}. Received: {error}. Or "
            "search exactly with --search=exact."
        ) from error


def _without_itself(
    places: np.ndarray, cosines: np.ndarray, itself: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leaves out each query itself, or the last one where it was not found (or has copies)."""
    is_itself = places == itself[:, None]
    drop = np.where(is_itself.any(axis=1), is_itself.argmax(axis=1), places.shape[1] - 1)
    keep = np.ones(places.shape, bool)
    keep[np.arange(len(places)), drop] = False
    shape = (len(places), places.shape[1] - 1)
    return places[keep].reshape(shape), cosines[keep].reshape(shape)
