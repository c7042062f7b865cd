"""Features of pictures that several workers compute for a fused run's predictions.

They pass through files in the run's folder, which are deleted when the predictions are made. Each
worker then joins all of them, in the batches that it would have computed alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cdisc_tfds.storage import free_bytes, remove_tree
from trainer.cluster.workers import Workers
from trainer.data.dataset import Split
from trainer.prediction.fused_predictor import PictureFeatures
from trainer.prediction.picture_features import FeatureReader
from trainer.runs.picture_files import PictureIndex, folder_of, read_arrays
from trainer.runs.shared_files import SharedFiles, batches_per_file

_PICTURES_PER_FILE = 4096


class NoRoomError(ValueError):
    """There is no room for the features that workers share."""


@dataclasses.dataclass(frozen=True)
class SharedFeatures:
    """The features of some products' pictures, shared out to several workers.

    Attributes:
      reader: computes them.
      split: the products.
      products: int64, ascending ordinals of those to read.
      parent: the folder for the files, which all workers see.
      weights: what gives the features, as JSON has it.
      workers: the workers.
    """

    reader: FeatureReader
    split: Split
    products: np.ndarray
    parent: pathlib.Path
    weights: dict[str, Any]
    workers: Workers

    def pictures(self) -> Iterator[PictureFeatures]:
        """As `FeatureReader.pictures`, to the last bit; all workers must read all of them.

        Raises:
          NoRoomError: if the disk has no room for them.
          WorkersError, Preempted: as in `SharedFiles.completed`.
        """
        # The chief's: copies of the data on other machines may have other times.
        key = self.workers.value_of_chief(lambda: self._key)
        folder = folder_of(self.parent, key)
        number = -(-self._num_pictures // (self._batches * self.reader.batch_size))
        label = f"features of {self.split.spec}"
        shared = SharedFiles(folder, number, label, self._num_pictures, self.workers)
        index = shared.completed(lambda: self._begin(folder, key), self._arrays_of_files)
        for file in index.files:
            steps, ordinals, features = read_arrays(folder / file.file, 3)
            ends = np.flatnonzero(np.diff(steps, append=-1)) + 1
            for begin, end in itertools.pairwise([0, *ends.tolist()]):
                yield ordinals[begin:end], features[begin:end]
        self.workers.barrier()
        if self.workers.is_chief:
            remove_tree(folder)

    @property
    def _key(self) -> dict[str, Any]:
        own = self.reader.key(self.split, self.products)
        return own | self.weights | {"batches_per_file": self._batches}

    @property
    def _num_pictures(self) -> int:
        return int(self.split.index.num_pictures[self.products].sum(dtype=np.int64))

    @property
    def _batches(self) -> int:
        return batches_per_file(self._num_pictures, self.reader.batch_size, _PICTURES_PER_FILE)

    def _begin(self, folder: pathlib.Path, key: dict[str, Any]) -> PictureIndex:
        """The index of what an earlier try has finished; the chief makes the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        needed = self._num_pictures * (16 + 4 * self.reader.size)
        free = free_bytes(folder)
        if needed > free:
            raise NoRoomError(
                "Several machines share the features of a fused run's pictures through its folder. "
                f"They need {needed / 1e9:.1f} GB for a while, and {folder} has "
                f"{free / 1e9:.1f} GB free. Make room, or predict on one machine (unset TF_CONFIG)."
            )
        return PictureIndex.read(folder, key).intact(folder)

    def _arrays_of_files(
        self, first: int, end: int, did: Callable[[int], None]
    ) -> Iterator[list[np.ndarray]]:
        """Step, ordinal and features of the pictures of each file at [first, end)."""
        steps = first * self._batches, end * self._batches
        batches = enumerate(self.reader.pictures(self.split, self.products, steps), steps[0])
        for _ in range(first, end):
            parts = []
            for step, (ordinals, features) in itertools.islice(batches, self._batches):
                parts.append((np.full(len(ordinals), step), ordinals, features))
                did(len(ordinals))
            yield [np.concatenate(columns) for columns in zip(*parts, strict=True)]
