"""The features of several bases side by side, and where each product's pictures are among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.prediction.joining_rules import Groups
from trainer.training.feature_files import Features


class FeatureMismatchError(ValueError):
    """Features of several bases that are not of the same pictures."""


class ProductFeatures:
    """The features of the readable pictures of some products, from several bases.

    Args:
      parts: the same pictures' features from each base, in files of the same pictures.

    Attributes:
      ordinals: int64 [n], the position in the split of each picture's product.
      white: float32 [f], the features of a white picture.
      ends: int64 [files], number of pictures up to the end of each file.
      groups: the pictures of each product with a readable one, in the records' order.

    Raises:
      FeatureMismatchError: if the bases did not see the same pictures.
    """

    def __init__(self, parts: Sequence[Features]):
        self._parts = tuple(parts)
        first = self._parts[0]
        for part in self._parts[1:]:
            same = np.array_equal(part.ordinals, first.ordinals)
            if not (same and np.array_equal(part.lengths, first.lengths)):
                raise FeatureMismatchError(
                    "Runs whose features are joined must see the same readable pictures. One of "
                    "them read others: the files of the data set changed meanwhile. Delete the "
                    "features' folder (--features_dir) and start the command again."
                )
        self.ordinals = first.ordinals
        self.white = np.concatenate([part.white.astype(np.float32) for part in self._parts])
        self.ends = np.cumsum(first.lengths)
        starts = np.flatnonzero(np.diff(self.ordinals, prepend=-1))
        self.groups = Groups(starts, np.diff(starts, append=len(self.ordinals)))
        self._edges: dict[int, np.ndarray] = {}

    @property
    def num_files(self) -> int:
        """Number of files."""
        return len(self.ends)

    def begun_in(self, number: int) -> slice:
        """The products, as places in `groups`, whose first picture is in a file."""
        begin, end = np.searchsorted(self.groups.starts, [self._start(number), self.ends[number]])
        return slice(int(begin), int(end))

    def rows(self, number: int) -> np.ndarray:
        """The features of the pictures in a file: float32 [n, f]."""
        own = [part.rows(number).astype(np.float32) for part in self._parts]
        rows = own[0] if len(own) == 1 else np.concatenate(own, axis=1)
        # A copy: the rest of the file need not stay in memory.
        self._edges.setdefault(number, rows[: self._continued(number)].copy())
        return rows

    def rows_of_begun(self, number: int) -> np.ndarray:
        """The pictures of the products that begin in a file: float32 [n, f].

        The last one may go on in the next files.
        """
        products = self.begun_in(number)
        if products.start == products.stop:
            return self.white[None][:0]
        parts = [self.rows(number)[self._continued(number) :]]
        last = products.stop - 1
        end = self.groups.starts[last] + self.groups.counts[last]
        following = number + 1
        while self._start(following) < end:
            parts.append(self._edge(following))
            following += 1
        return np.concatenate(parts)

    def _edge(self, number: int) -> np.ndarray:
        """The pictures at the start of a file whose product began before it.

        They stay in memory: a few per file, which would be read as a whole for them in each epoch.
        """
        if number not in self._edges:
            self.rows(number)
        return self._edges[number]

    def _continued(self, number: int) -> int:
        """Number of pictures at the start of a file whose product began before it."""
        start, end = self._start(number), int(self.ends[number])
        begun = self.begun_in(number)
        first = int(self.groups.starts[begun.start]) if begun.start < begun.stop else end
        return first - start

    def _start(self, number: int) -> int:
        return int(self.ends[number - 1]) if number else 0
