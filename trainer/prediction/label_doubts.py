"""Which labels the network and the most similar products contradict.

Two witnesses speak for classes. The network gives each a probability; the neighbours' labels give
each a share. A label's score is the weighted mean of the two for the label minus that for the class
which most speaks for instead: -1 if both are sure of another class, 1 if both are sure of the
label. The network counts half; of a product that it was trained on, whose label it may have learnt
by heart, a quarter (BUILD_NOTES has the measurements).

Confident learning (Northcutt et al., 2021, arXiv:1911.00068), as cleanlab has it, is a criterion
beside: a class's threshold is its mean probability over the products labelled so. A label is called
wrong if, of the classes that reach their thresholds, another one is the most probable. cleanlab
itself needs all probabilities in memory, which are 190 GB for 9 million products of 5270 classes;
the TOP most probable classes of each product give the same answer, unless more than TOP reach
their thresholds.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from trainer.prediction.averaging import ProductBatch
from trainer.prediction.ranked_products import top_classes
from trainer.runs.doubtful_labels import DoubtfulLabels

TOP = 16
NETWORK, NETWORK_OF_TRAINED = 0.5, 0.25  # weights of the network; the neighbours have the rest
_ROWS = 1 << 17  # products to weigh at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Verdicts:
    """What the network says of labelled products with a picture. Memory: 8 * TOP bytes a product.

    Attributes:
      ordinals: int64 [n], positions of the products in the split.
      labels: int64 [n], their classes.
      own: float32 [n], probability of the label.
      classes: int32 [n, k], the k most probable classes, most probable first.
      probabilities: float32 [n, k].
      thresholds: float32 [classes], mean probability of each class over the products labelled so;
        infinite for a class without any.
    """

    ordinals: np.ndarray
    labels: np.ndarray
    own: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray

    def part(self, rows: slice) -> Verdicts:
        """Those on some products, with the thresholds of all."""
        names = ("ordinals", "labels", "own", "classes", "probabilities")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def confident(self) -> np.ndarray:
        """Whether confident learning calls the label wrong: bool [n]."""
        reached = self.probabilities >= self.thresholds[self.classes]
        first = reached.argmax(axis=1)  # the most probable of those that reach
        found = np.take_along_axis(self.classes, first[:, None], axis=1)[:, 0]
        return reached.any(axis=1) & (found != self.labels)


class VerdictCounter:
    """Collects what the network says, batch by batch.

    Args:
      labels: integers [products of the split], their classes; -1 without one.
      num_classes: number of classes.
    """

    def __init__(self, labels: np.ndarray, num_classes: int):
        self._labels, self._top = labels, min(TOP, num_classes)
        self._sums, self._counts = np.zeros([2, num_classes])
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, batch: ProductBatch) -> None:
        """Adds labelled products; those without a readable picture do not count."""
        seen = batch.num_pictures > 0
        ordinals, probabilities = batch.ordinals[seen], batch.probabilities[seen]
        labels = self._labels[ordinals].astype(np.int64)
        own = probabilities[np.arange(len(labels)), labels]
        best = top_classes(probabilities, self._top).astype(np.int32)
        self._parts.append(
            (ordinals, labels, own, best, np.take_along_axis(probabilities, best, axis=1))
        )
        size = len(self._sums)
        self._sums += np.bincount(labels, own, size)
        self._counts += np.bincount(labels, minlength=size)

    def result(self) -> Verdicts:
        """What was collected; there is at least one product."""
        ordinals, labels, own, classes, probabilities = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        thresholds = np.divide(
            self._sums,
            self._counts,
            out=np.full(len(self._sums), np.inf),
            where=self._counts > 0,
        )
        return Verdicts(
            ordinals, labels, own, classes, probabilities, thresholds.astype(np.float32)
        )


def doubtful_labels(
    verdicts: Verdicts,
    neighbour_labels: np.ndarray,
    product_ids: np.ndarray,
    trained: np.ndarray,
) -> DoubtfulLabels:
    """The products for which another class is more likely than the label, most doubtful first.

    Args:
      verdicts: what the network says.
      neighbour_labels: int64 [n, m], the classes of each product's neighbours; -1 without one.
      product_ids: int64 [n].
      trained: bool [n], whether the network was trained on them.
    """
    parts = [
        _doubtful(verdicts.part(rows), neighbour_labels[rows], product_ids[rows], trained[rows])
        for start in range(0, len(product_ids), _ROWS)
        for rows in [slice(start, start + _ROWS)]
    ]
    names = [field.name for field in dataclasses.fields(DoubtfulLabels)]
    found = DoubtfulLabels(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
    return found[np.lexsort([found.product_id, found.score])]


def _doubtful(
    verdicts: Verdicts,
    neighbour_labels: np.ndarray,
    product_ids: np.ndarray,
    trained: np.ndarray,
) -> DoubtfulLabels:
    """Those of some products, in their order."""
    labels, num_classes = verdicts.labels, len(verdicts.thresholds)
    weight = np.where(trained, NETWORK_OF_TRAINED, NETWORK)
    known = neighbour_labels >= 0
    shares = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    rows, classes, belief = _beliefs(
        np.concatenate([verdicts.classes, np.maximum(neighbour_labels, 0)], axis=1),
        np.concatenate(
            [verdicts.probabilities * weight[:, None], shares * (1 - weight[:, None])], axis=1
        ),
        num_classes,
    )
    own_share = _share_of(labels, neighbour_labels, shares)
    own = verdicts.own * weight + own_share * (1 - weight)
    other = classes != labels[rows]
    rows, classes, belief = rows[other], classes[other], belief[other]
    # The last of a row is the most believed; of equals, the first class.
    order = np.lexsort([-classes, belief, rows])
    last = order[np.flatnonzero(np.diff(rows[order], append=-1))]
    suggested = np.full(len(labels), -1, np.int64)
    most = np.zeros(len(labels))
    suggested[rows[last]], most[rows[last]] = classes[last], belief[last]
    hit = verdicts.classes == suggested[:, None]
    found = DoubtfulLabels(
        product_id=product_ids,
        label=labels,
        suggested=suggested,
        score=(own - most).astype(np.float32),
        probability=verdicts.own,
        suggested_probability=np.where(hit, verdicts.probabilities, 0).sum(axis=1),
        neighbours=own_share.astype(np.float32),
        suggested_neighbours=_share_of(suggested, neighbour_labels, shares).astype(np.float32),
        confident=verdicts.confident,
    )
    return found[found.score < 0]


def _beliefs(
    classes: np.ndarray, weights: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, class, sum of weights) of each class that a row names: [n, m] each -> three [k]."""
    keys = np.arange(len(classes))[:, None] * np.int64(num_classes) + classes
    unique, inverse = np.unique(keys, return_inverse=True)
    sums = np.bincount(inverse.reshape(-1), weights.reshape(-1), len(unique))
    return unique // num_classes, unique % num_classes, sums


def _share_of(labels: np.ndarray, others: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The share of each row's neighbours that have a class: float64 [n]."""
    return np.where(others == labels[:, None], shares, 0).sum(axis=1)
