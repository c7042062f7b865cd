"""TensorBoard event files that a resumed run continues without gaps or duplicate points.

Points are held back until the next checkpoint, which records the length of each event file. A
resumed run truncates the files to those lengths and continues in new files. Those of a run on a
storage are written on this machine, and copied there before each checkpoint.
"""

from __future__ import annotations

import collections
import errno
import math
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams

from cdisc_tfds.storage import copy_tree, is_remote
from cdisc_tfds.tfrecord import count_records
from cdisc_tfds.whole_files import whole_file
from trainer.settings.config import Config

_FILES = "events.out.tfevents.*"


def truncate_to(folder: pathlib.Path, committed: dict[str, int]) -> None:
    """Truncates the event files in `folder` to the lengths that the last checkpoint recorded.

    Args:
      folder: the run's TensorBoard folder.
      committed: length in bytes of each file, by its path relative to `folder`; other files are
        deleted.
    """
    for path in sorted(folder.rglob(_FILES)):
        length = committed.get(path.relative_to(folder).as_posix())
        if length is None:
            path.unlink()
        elif path.stat().st_size > length:
            _truncate(path, length)
    for name, length in committed.items():
        path = folder / name
        size = path.stat().st_size if path.exists() else 0
        if size < length:
            logging.warning(
                "TensorBoard's file %s has %d bytes of the %d that the checkpoint counted on: some "
                "points of its curves are lost. The history is whole.",
                path,
                size,
                length,
            )


def _truncate(path: pathlib.Path, length: int) -> None:
    if not is_remote(path):
        os.truncate(path, length)
        return
    with path.open("rb") as file:  # an object cannot be shortened, but replaced
        kept = file.read(length)
    with whole_file(path) as file:
        file.write(kept)


class EventFileError(OSError):
    """Points that could not be written to their event file."""


def _count_whole(path: pathlib.Path, begin: int) -> tuple[int, int]:
    """(records from byte `begin` on, file size); raises EventFileError if the last is cut off."""
    count, end = count_records(path, begin)
    size = path.stat().st_size
    if end != size:
        raise _incomplete(path, f"a last record that is cut off at byte {size}")
    return count, size


def _incomplete(path: pathlib.Path, received: str) -> EventFileError:
    return EventFileError(
        errno.ENOSPC,
        f"TensorBoard's file {path} must hold every point. Received: {received}. Make room (or "
        "lift the limit on file sizes) and start the same command again to continue.",
    )


class EventLog:
    """The event files of one process: `train` and `validation` curves, pictures, HParams, graph."""

    def __init__(self, folder: pathlib.Path, committed: dict[str, int] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        truncate_to(folder, committed or {})
        self._target = folder
        self._own = tempfile.TemporaryDirectory(prefix="cdiscount-") if is_remote(folder) else None
        # Where the files of this process are written.
        self._folder = folder if self._own is None else pathlib.Path(self._own.name)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._path: dict[str, pathlib.Path] = {}  # of each curve's file
        self._size: collections.Counter[str] = collections.Counter()  # at the last commit
        self._records: collections.Counter[str] = collections.Counter()  # written since
        self._held: list[tuple[str, dict[str, float], int]] = []

    def scalars(self, curve: str, values: dict[str, float], step: int) -> None:
        """Adds points to `curve`, `train` or `validation`, at `step`; `commit` writes them."""
        self._held.append((curve, dict(values), step))

    def pictures(self, name: str, batch: np.ndarray) -> None:
        """Writes a grid of at most 25 pictures of a uint8 [n, height, width, 3] batch."""
        with self._writer("train").as_default(step=0):
            tf.summary.image(name, picture_grid(batch[:25])[np.newaxis])
        self._records["train"] += 1

    def graph(self, function: tf.types.experimental.ConcreteFunction) -> None:
        """Writes the network's operations."""
        with self._writer("train").as_default(step=0):
            tf.summary.graph(function.graph.as_graph_def())
        self._records["train"] += 1

    def hparams(self, config: Config) -> None:
        """Writes the settings, and the metrics by which the HParams table compares runs."""
        values = {
            name: value if isinstance(value, int | float | str) else str(value)
            for name, value in config.of_result().items()
            if value is not None and name != "chunks"
        }
        with self._writer(".").as_default(step=0):
            hparams.hparams_config(
                # All by name: with an empty list the table would show none.
                hparams=[hparams.HParam(name) for name in values],
                metrics=[
                    hparams.Metric(f"epoch_{name}", group="validation", display_name=f"val {name}")
                    for name in ("product_accuracy", "accuracy", "loss")
                ],
            )
            hparams.hparams(values)
        self._records["."] += 2

    def commit(self) -> dict[str, int]:
        """Writes the held-back points; returns the length of each event file, for the checkpoint.

        Raises:
          EventFileError: if the disk is full, which TensorFlow's writer does not report.
        """
        for curve, values, step in self._held:
            with self._writer(curve).as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._records[curve] += len(values)
        self._held.clear()
        for curve, writer in self._writers.items():
            writer.flush()
            found, self._size[curve] = _count_whole(self._path[curve], self._size[curve])
            if found != self._records[curve]:
                raise _incomplete(self._path[curve], f"{found} of {self._records[curve]} records")
        self._records.clear()
        if self._own is not None:
            copy_tree(self._folder, self._target)
        return {
            path.relative_to(self._target).as_posix(): path.stat().st_size
            for path in sorted(self._target.rglob(_FILES))
        }

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        if self._own is not None:
            self._own.cleanup()

    def _writer(self, curve: str) -> tf.summary.SummaryWriter:
        if curve not in self._writers:
            folder = self._folder / curve
            before = set(folder.glob(_FILES))
            try:
                self._writers[curve] = tf.summary.create_file_writer(str(folder))
            except tf.errors.OpError as error:
                raise _incomplete(folder, error.message.splitlines()[0]) from error
            (self._path[curve],) = set(folder.glob(_FILES)) - before
            self._records[curve] = 1  # the record with the file's version
        return self._writers[curve]


def picture_grid(batch: np.ndarray, gap: int = 4) -> np.ndarray:
    """Lays uint8 [n, h, w, 3] pictures out on a white square grid; uint8 [height, width, 3]."""
    count, height, width, channels = batch.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    grid = np.full(shape, 255, np.uint8)
    for index, picture in enumerate(batch):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        grid[top : top + height, left : left + width] = picture
    return grid
