"""The probabilities of pictures, kept on disk so that another rule or mixture takes seconds.

A folder named after everything that the probabilities depend on holds them. Of many classes, a
picture keeps the TOP most probable ones exactly; what remains of the sum 1 is spread evenly over
the others. The pass that computes them already yields them so: a second one gives the same bits.
An interrupted pass continues after the last finished file. Several workers share a pass out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from absl import logging

from cdisc_tfds.file_lock import locked
from cdisc_tfds.storage import free_bytes
from trainer.cluster.workers import ALONE, Workers
from trainer.prediction.averaging import Pictures
from trainer.runs.picture_files import PictureIndex, folder_of, read_arrays, write_pictures
from trainer.runs.shared_files import SharedFiles, batches_per_file

TOP = 128
_PICTURES_PER_FILE = 16384  # at most
_WORTH_A_WORD = 100_000_000  # bytes


class _BusyError(Exception):
    """Another process computes the same predictions."""


class KeptPredictionsError(ValueError):
    """Predictions that several workers cannot share, because they cannot be kept."""


class Compute(Protocol):
    """Computes the batches at [first, end) of a pass."""

    def __call__(self, first: int, end: int | None = None) -> Iterator[Pictures]:
        """As the class; None: all from `first` on."""


def bytes_per_picture(num_classes: int) -> int:
    """Bytes that a picture takes on disk."""
    if num_classes <= TOP:
        return 8 + 4 * num_classes
    return 8 + TOP * (4 + _class_dtype(num_classes).itemsize)


def _class_dtype(num_classes: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if num_classes <= 1 << 16 else np.uint32)


@dataclasses.dataclass(frozen=True)
class KeptPredictions:
    """Predictions on disk, or to be computed.

    Attributes:
      parent: folder of the predictions of a run.
      key: everything that these predictions depend on, as JSON has it.
      num_classes: number of classes.
      num_pictures: number of pictures, readable or not.
      batch_size: pictures per batch.
      compute: computes some of the batches.
      label: what they are, for the progress of several workers.
      workers: those that share the pass out; all ask for the same predictions.
    """

    parent: pathlib.Path
    key: dict[str, Any]
    num_classes: int
    num_pictures: int
    batch_size: int
    compute: Compute
    label: str = "predicting"
    workers: Workers = ALONE

    @property
    def folder(self) -> pathlib.Path:
        """The folder of these predictions."""
        return folder_of(self.parent, self._whole_key)

    @property
    def _whole_key(self) -> dict[str, Any]:
        """The key, and how an interrupted pass divides the pictures."""
        divided = {"batch_size": self.batch_size, "batches_per_file": self._batches_per_file}
        return self.key | divided

    @property
    def is_finished(self) -> bool:
        """Whether all of them are on disk, unless a file turns out to be damaged."""
        return PictureIndex.read(self.folder, self._whole_key).finished

    def pictures(self) -> Iterator[Pictures]:
        """All readable pictures, those that are not on disk computed and written there.

        If they cannot be written, for lack of room or permission, or because another process just
        does so, a warning says why, and they are computed without.

        Raises:
          KeptPredictionsError: if they cannot be written, and several workers were to share them.
          WorkersError, Preempted: as in `SharedFiles.completed`.
        """
        if self.workers.several:
            # The chief's: copies of the data on other machines may have other times.
            key = self.workers.value_of_chief(lambda: self.key)
            shared = dataclasses.replace(self, key=key, workers=ALONE)
            shared._share_out(self.workers)
            yield from shared.pictures()
            return
        folder = self.folder
        index = self._intact(folder)
        yield from self._read(folder, index)
        if index.finished:
            return
        skip = len(index.files) * self._batches_per_file
        with contextlib.ExitStack() as stack:
            why_not = self._opened(stack, folder, index)
            if not why_not:
                yield from self._computed(folder, index, skip)
                return
        logging.warning("The predictions are not kept in %s: %s", folder, why_not)
        yield from as_kept(self.compute(skip), self.num_classes)

    @property
    def _batches_per_file(self) -> int:
        return batches_per_file(self.num_pictures, self.batch_size, _PICTURES_PER_FILE)

    def _intact(self, folder: pathlib.Path) -> PictureIndex:
        """The index, up to the first damaged file."""
        return PictureIndex.read(folder, self._whole_key).intact(folder)

    def _share_out(self, workers: Workers) -> None:
        """Computes what is not on disk, together with the other workers."""
        folder, number = self.folder, self._batches_per_file * self.batch_size
        with contextlib.ExitStack() as stack:

            def begin() -> PictureIndex:
                index = self._intact(folder)
                if not index.finished and (why_not := self._opened(stack, folder, index)):
                    raise KeptPredictionsError(
                        "Several machines share predictions through the run's folder, where they "
                        f"are kept. They cannot be kept in {folder}: {why_not}"
                    )
                return index

            files = -(-self.num_pictures // number)
            SharedFiles(folder, files, self.label, self.num_pictures, workers).completed(
                begin, self._arrays_of_files
            )

    def _arrays_of_files(
        self, first: int, end: int, did: Callable[[int], None]
    ) -> Iterator[list[np.ndarray]]:
        """What is kept of the pictures of each file at [first, end)."""
        batches = self.compute(first * self._batches_per_file, end * self._batches_per_file)
        for _ in range(first, end):
            parts = []
            for ordinals, probabilities in itertools.islice(batches, self._batches_per_file):
                parts.append([ordinals, *_reduced(probabilities)])
                did(len(ordinals))
            yield [np.concatenate(columns) for columns in zip(*parts, strict=True)]

    def _read(self, folder: pathlib.Path, index: PictureIndex) -> Iterator[Pictures]:
        for file in index.files:
            ordinals, *arrays = read_arrays(folder / file.file, self._num_arrays)
            for start in range(0, len(ordinals), self.batch_size):
                rows = slice(start, start + self.batch_size)
                part = [array[rows] for array in arrays]
                yield ordinals[rows], _restored(part, self.num_classes)

    @property
    def _num_arrays(self) -> int:
        return 2 if self.num_classes <= TOP else 3

    def _opened(
        self, stack: contextlib.ExitStack, folder: pathlib.Path, index: PictureIndex
    ) -> str:
        """Makes the folder and locks it; returns why that is impossible, or nothing."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / "writer.lock", _BusyError()))
            done = sum(file.pictures for file in index.files)
            needed = (self.num_pictures - done) * bytes_per_picture(self.num_classes)
            free = free_bytes(folder)
        except _BusyError:
            return "another process is computing them."
        except OSError as error:
            return f"{error}."
        if needed > free:
            return f"they need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free."
        return ""

    def _computed(self, folder: pathlib.Path, index: PictureIndex, skip: int) -> Iterator[Pictures]:
        """Computes the remaining files; yields the batches of a file before it is written."""
        batches = self.compute(skip)
        for number in itertools.count(len(index.files)):
            parts: list[list[np.ndarray]] = []
            for ordinals, probabilities in itertools.islice(batches, self._batches_per_file):
                reduced = _reduced(probabilities)
                parts.append([ordinals, *reduced])
                yield ordinals, _restored(reduced, self.num_classes)
            try:
                if parts:
                    arrays = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
                    file = write_pictures(folder, number, arrays)
                    index = dataclasses.replace(index, files=(*index.files, file))
                else:
                    index = dataclasses.replace(index, finished=True)
                index.write(folder)
            except OSError as error:
                logging.warning("The predictions are not kept in %s: %s.", folder, error)
                yield from as_kept(batches, self.num_classes)
                return
            if index.finished:
                break
        if (size := index.size(folder)) >= _WORTH_A_WORD:
            print(
                f"The predictions ({size / 1e9:.1f} GB) are kept in {folder}; delete it when you "
                "no longer need them.",
                file=sys.stderr,
            )


def as_kept(batches: Iterable[Pictures], num_classes: int) -> Iterator[Pictures]:
    """Pictures with the probabilities that they would have if they were kept, to the last bit."""
    for ordinals, probabilities in batches:
        yield ordinals, _restored(_reduced(probabilities), num_classes)


def _reduced(probabilities: np.ndarray) -> list[np.ndarray]:
    """float32 [b, classes] -> what is kept of it.

    All of it; of more than TOP classes, float32 [b, TOP] and integers [b, TOP], the largest
    probabilities and their classes.
    """
    num_classes = probabilities.shape[1]
    if num_classes <= TOP:
        return [probabilities]
    classes = np.sort(np.argpartition(-probabilities, TOP - 1, axis=1)[:, :TOP], axis=1)
    return [
        np.take_along_axis(probabilities, classes, axis=1),
        classes.astype(_class_dtype(num_classes)),
    ]


def _restored(kept: list[np.ndarray], num_classes: int) -> np.ndarray:
    """What `_reduced` kept -> float32 [b, classes]."""
    if num_classes <= TOP:
        return kept[0]
    values, classes = kept
    rest = np.maximum(1 - values.sum(axis=1, keepdims=True), 0) / np.float32(num_classes - TOP)
    probabilities = np.tile(rest.astype(np.float32), [1, num_classes])
    np.put_along_axis(probabilities, classes.astype(np.int64), values, axis=1)
    return probabilities
