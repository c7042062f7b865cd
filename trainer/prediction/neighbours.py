"""The most similar products of each product."""

from __future__ import annotations

import importlib
import types

import numpy as np
import tensorflow as tf

from cdisc_tfds.machine import num_cores
from cdisc_tfds.progress_line import ProgressLine
from trainer.prediction.embedding_options import SEARCHES

# Up to here, exact search takes minutes on a few cores. It grows with the square of the number.
EXACT_PRODUCTS = 100_000
_QUERIES = 1024
_BLOCK = 65536  # products that queries are compared with at a time
_INSTALL = "pip install 'cdiscount-image-classification[neighbours]'"
# Of the graph (HNSW): links of a node, and how many nodes are looked at. BUILD_NOTES has recalls.
_LINKS, _LOOK_BUILDING, _LOOK_SEARCHING = 16, 128, 128


class NeighbourError(ValueError):
    """Neighbours cannot be searched this way."""


def nearest(features: np.ndarray, k: int, method: str = "auto") -> tuple[np.ndarray, np.ndarray]:
    """The k products that are most similar to each product, itself excluded.

    Args:
      features: float16 [n, f], rows of length 1.
      k: from 1 to n - 1.
      method: one of SEARCHES. `exact` compares all with all, in matrix products (on a GPU if there
        is one). `approximate` searches a graph, and misses some. `auto`: exact up to
        EXACT_PRODUCTS or with a GPU, else approximate.

    Returns:
      (int64 [n, k], places of the neighbours, most similar first; float32 [n, k], their cosines).

    Raises:
      NeighbourError: if there are not k others, or the library for `approximate` is missing.
    """
    number = len(features)
    require_searchable(k, method, number)
    if chosen(method, number) == "exact":
        places, cosines = exact(features, features, k + 1)
    else:
        places, cosines = _approximate(features, k + 1)
    return _without_itself(places, cosines)


def require_searchable(k: int, method: str, number: int) -> None:
    """Raises NeighbourError unless `nearest` can find k neighbours of so many products."""
    if method not in SEARCHES:
        raise NeighbourError(
            f"`method` must be one of {', '.join(SEARCHES)}. Received: {method!r}."
        )
    if not 0 < k < number:
        raise NeighbourError(
            f"--neighbours must be from 1 to {number - 1} for {number:,} products. Received: {k}."
        )
    if chosen(method, number) == "approximate":
        _library()


def chosen(method: str, number: int) -> str:
    """`exact` or `approximate`, for so many products."""
    if method != "auto":
        return method
    fast = number <= EXACT_PRODUCTS or bool(tf.config.list_physical_devices("GPU"))
    return "exact" if fast else "approximate"


def exact(queries: np.ndarray, features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar of `features` for each query, by comparing all with all.

    Args:
      queries: float16 or float32 [q, f], rows of length 1.
      features: float16 [n, f], rows of length 1.
      k: from 1 to n.

    Returns:
      (int64 [q, k], places in `features`, most similar first; of equals, the first;
      float32 [q, k], cosines).
    """
    places = np.zeros([len(queries), 0], np.int64)
    cosines = np.zeros([len(queries), 0], np.float32)
    line, done = ProgressLine("comparing", len(queries) * len(features), "pairs"), 0
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


def _approximate(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """As `exact` for all products, by a graph of small worlds (HNSW)."""
    module = _library()
    index = module.Index(
        ndim=features.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=_LINKS,
        expansion_add=_LOOK_BUILDING,
        expansion_search=max(_LOOK_SEARCHING, k),
    )
    line = ProgressLine("searching neighbours", 2 * len(features), "products")
    for step, start in enumerate(range(0, len(features), _BLOCK)):
        part = features[start : start + _BLOCK]
        index.add(np.arange(start, start + len(part)), part, threads=num_cores())
        line.update(min((step + 1) * _BLOCK, len(features)))
    places = np.empty([len(features), k], np.int64)
    cosines = np.empty([len(features), k], np.float32)
    for start in range(0, len(features), _BLOCK):
        rows = slice(start, start + _BLOCK)
        found = index.search(features[rows], k, threads=num_cores())
        places[rows], cosines[rows] = found.keys, 1 - found.distances
        line.update(len(features) + min(start + _BLOCK, len(features)))
    line.close()
    return places, cosines


def _library() -> types.ModuleType:
    try:
        return importlib.import_module("usearch.index")
    except ImportError as error:
        raise NeighbourError(
            f"Approximate neighbours need the package usearch: {_INSTALL}. Received: {error}. Or "
            "search exactly with --search=exact."
        ) from error


def _without_itself(places: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaves out the product itself, or the last one where it was not found (or has copies)."""
    rows = np.arange(len(places))
    is_itself = places == rows[:, None]
    drop = np.where(is_itself.any(axis=1), is_itself.argmax(axis=1), places.shape[1] - 1)
    keep = np.ones(places.shape, bool)
    keep[rows, drop] = False
    shape = (len(places), places.shape[1] - 1)
    return places[keep].reshape(shape), cosines[keep].reshape(shape)
