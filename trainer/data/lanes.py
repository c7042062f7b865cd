"""Lanes: streams of pictures that an epoch's order interleaves, so that machines can share it.

The products of a split are cut into consecutive stretches with equally many pictures, one for each
lane. A lane shuffles its own pictures. The epoch's order takes one picture from each lane in turn,
and skips lanes that are at their end. So the counts of the lanes alone say which lane has the
picture at a place, and a machine reads the files of its own lanes only.

The order depends on the number of lanes, but not on how many machines share them.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from trainer.data.labelled_split import LabelledSplit
from trainer.data.picture_selection import PictureSelection


@dataclasses.dataclass(frozen=True)
class Worker:
    """One of the machines that train together.

    Attributes:
      index: its number, from 0.
      count: number of machines.
    """

    index: int = 0
    count: int = 1


ALONE = Worker()


def share_of_products(products: np.ndarray, num_pictures: np.ndarray, worker: Worker) -> np.ndarray:
    """A machine's stretch of some products, with about as many pictures as that of any other.

    Args:
      products: int64 [n], of which every machine gets some.
      num_pictures: int [n], number of pictures of each.
      worker: the machine.
    """
    ends = np.cumsum(num_pictures, dtype=np.int64)
    places = np.arange(worker.index, worker.index + 2)
    goals = int(ends[-1]) * places / worker.count if len(ends) else places * 0
    first, end = np.searchsorted(ends, goals, side="right").tolist()
    return products[first : None if worker.index + 1 == worker.count else end]


@dataclasses.dataclass(frozen=True, eq=False)
class Lanes:
    """The lanes of an epoch.

    Attributes:
      cuts: int64 [lanes + 1]; lane `l` has the products at [cuts[l], cuts[l + 1]) of the split.
      counts: int64 [lanes], pictures that the epoch shows of each.
    """

    cuts: np.ndarray
    counts: np.ndarray

    @classmethod
    def deal(cls, labelled: LabelledSplit, selection: PictureSelection | None, lanes: int) -> Lanes:
        """Cuts a split so that lanes differ by few pictures: cuts are between products."""
        before = np.append(0, np.cumsum(_pictures_of_products(labelled, selection)))
        goals = before[-1] * np.arange(1, lanes, dtype=np.int64) // lanes
        after = np.maximum(np.searchsorted(before, goals), 1)
        inner = after - (goals - before[after - 1] < before[after] - goals)  # the nearer one
        cuts = np.concatenate([[0], inner, [len(before) - 1]])
        return cls(cuts, np.diff(before[cuts]))

    @property
    def num(self) -> int:
        """Number of lanes."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Number of pictures of the epoch."""
        return int(self.counts.sum())

    @property
    def even(self) -> int:
        """Number of places at the start of the epoch where all lanes take turns."""
        return self.num * int(self.counts.min())

    @functools.cached_property
    def rest(self) -> np.ndarray:
        """Lane of each place from `even` on: int64."""
        left = self.counts - self.counts.min()
        rounds = np.concatenate([np.arange(count) for count in left])
        lane = np.repeat(np.arange(self.num), left)
        return lane[np.lexsort((lane, rounds))]

    def at(self, places: tf.Tensor) -> tf.Tensor:
        """Lane of each place of the epoch: int64 [n] -> int64 [n]."""
        rest = tf.constant(np.append(self.rest, 0))
        after = tf.clip_by_value(places - self.even, 0, len(self.rest))
        return tf.where(places < self.even, places % self.num, tf.gather(rest, after))


def _pictures_of_products(
    labelled: LabelledSplit, selection: PictureSelection | None
) -> np.ndarray:
    """Number of pictures that an epoch shows of each product of a split: int64."""
    pictures = labelled.split.index.num_pictures.astype(np.int64)
    if selection is None:
        return np.where(labelled.classes >= 0, pictures, 0)
    shown = np.concatenate([[0], np.cumsum(selection.counts, dtype=np.int64)])
    ends = np.cumsum(pictures)
    return shown[ends] - shown[ends - pictures]


@dataclasses.dataclass(frozen=True)
class Share:
    """A machine's pictures of a batch, filled up to as many as any machine has.

    Attributes:
      rows: int32 [n], places of the machine's own pictures within the batch.
      lanes: int64 [n], their lanes.
      filled: number of pictures with the filling, int32 [].
      size: number of pictures of the batch, int32 [].
    """

    rows: tf.Tensor
    lanes: tf.Tensor
    filled: tf.Tensor
    size: tf.Tensor


class SharedBatches:
    """Who has which pictures of each batch: machine `w` has the lanes `l` with l % machines == w.

    Args:
      lanes: the lanes of the epoch.
      batch_size: pictures per batch; the last batch may be smaller.
      worker: this machine.
    """

    def __init__(self, lanes: Lanes, batch_size: int, worker: Worker = ALONE):
        self._lanes, self._batch_size, self._worker = lanes, batch_size, worker

    @property
    def workers(self) -> int:
        """Number of machines."""
        return self._worker.count

    @property
    def own(self) -> np.ndarray:
        """The lanes that this machine reads: int64, ascending."""
        return np.arange(self._worker.index, self._lanes.num, self._worker.count)

    @property
    def steps(self) -> int:
        """Number of batches."""
        return -(-self._lanes.total // self._batch_size)

    def share(self, step: tf.Tensor) -> Share:
        """This machine's share of batch `step`, int64 []."""
        begin = step * self._batch_size
        end = tf.minimum(begin + self._batch_size, self._lanes.total)
        lanes = self._lanes.at(tf.range(begin, end))
        worker = tf.cast(lanes % self._worker.count, tf.int32)
        rows = tf.where(worker == self._worker.index)[:, 0]
        filled = tf.reduce_max(tf.math.bincount(worker, minlength=self._worker.count))
        return Share(tf.cast(rows, tf.int32), tf.gather(lanes, rows), filled, tf.size(lanes))

    @functools.cached_property
    def largest(self) -> int:
        """The most pictures of a batch that a machine has, the filling included."""
        lanes, size = self._lanes.num, self._batch_size
        whole = self._lanes.even // size  # batches in which the lanes take turns
        # Which lane such a batch begins with repeats after at most `lanes` batches.
        taken = [size * step + np.arange(size) for step in range(min(whole, lanes))]
        most = [self._most(places % lanes) for places in taken]
        places = np.arange(whole * size, self._lanes.even) % lanes
        after = np.concatenate([places, self._lanes.rest])
        most += [self._most(after[begin : begin + size]) for begin in range(0, len(after), size)]
        return max(most, default=1)

    def _most(self, lanes: np.ndarray) -> int:
        return int(np.bincount(lanes % self._worker.count).max())

    def streams(self, step: tf.Tensor) -> tf.Tensor:
        """Which stream each of `largest` pictures of batch `step` comes from: int64 [largest].

        The streams are those of the lanes `own`, in this order, and then that of the filling.
        """
        share = self.share(step)
        own = share.lanes // self._worker.count
        filling = tf.fill([self.largest - tf.size(own)], tf.constant(len(self.own), tf.int64))
        return tf.concat([own, filling], axis=0)


def weights_of(share: Share, workers: int) -> tf.Tensor:
    """Weights of the pictures, float32 [filled]: 0 for the filling.

    The mean over all machines, filling included, is that over the pictures of the batch.
    """
    weight = tf.cast(share.filled * workers / share.size, tf.float32)
    return tf.where(tf.range(share.filled) < tf.size(share.rows), weight, 0.0)


def partners_of(share: Share) -> tf.Tensor:
    """The picture to mix each one with: int32 [filled], places within the share.

    Partners come from the same lane, so that they do not depend on the number of machines: the
    first of a batch is mixed with the last, and so on. Filling is mixed with itself.
    """
    count = tf.size(share.rows)
    places = tf.range(count, dtype=tf.int64)
    length = tf.cast(count, tf.int64)
    forwards = tf.argsort(share.lanes * length + places)
    backwards = tf.argsort(share.lanes * length + (length - 1 - places))
    partners = tf.scatter_nd(forwards[:, None], backwards, [count])
    return tf.concat([partners, tf.range(count, share.filled)], axis=0)
