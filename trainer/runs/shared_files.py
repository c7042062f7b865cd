"""Files of pictures that several workers compute into a folder that all of them see.

Each worker takes a stretch of the files, and keeps an index of its own until all are finished. The
files are those that one worker alone would write, to the last bit.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.cluster.shared_storage import appears
from trainer.cluster.shared_work import SharedWork
from trainer.cluster.workers import Workers
from trainer.runs.picture_files import PictureFile, PictureIndex, write_pictures

_LEAST_FILES = 64

# (first file, end, what to call with a number of pictures) -> the arrays of each file
Compute = Callable[[int, int, Callable[[int], None]], Iterable[Sequence[np.ndarray]]]


def batches_per_file(num_pictures: int, batch_size: int, most_pictures: int) -> int:
    """Number of batches of a file: few enough that workers can share a small data set, too."""
    return max(1, min(most_pictures, num_pictures // _LEAST_FILES) // batch_size)


@dataclasses.dataclass(frozen=True)
class SharedFiles:
    """The files of a folder, which several workers compute.

    Attributes:
      folder: the folder, the same one for all workers.
      number: number of files.
      label: what the progress line says.
      num_pictures: number of pictures in all files.
      workers: the workers.
    """

    folder: pathlib.Path
    number: int
    label: str
    num_pictures: int
    workers: Workers

    def completed(self, begin: Callable[[], PictureIndex], compute: Compute) -> PictureIndex:
        """Computes the files that the folder lacks.

        Args:
          begin: prepares the folder and returns its index; the chief alone calls it.
          compute: computes some of the files.

        Returns:
          The finished index, which the chief has written.

        Raises:
          WorkersError: if another worker fails, or does not see the chief's folder.
          Preempted: if another worker is stopped or lost; the finished files stay.
        """
        index = self._begun(begin)
        if index.finished:
            return index
        own = self._computed(index, compute)
        parts = self.workers.gather(json.dumps([dataclasses.asdict(file) for file in own]))
        files = (PictureFile(**file) for part in parts for file in json.loads(part))
        index = dataclasses.replace(index, finished=True, files=(*index.files, *files))
        if self.workers.is_chief:
            index.write(self.folder)
            for path in self.folder.glob("part-*.json"):
                path.unlink()
        self.workers.barrier()
        return index

    def _begun(self, begin: Callable[[], PictureIndex]) -> PictureIndex:
        """The chief's index; raises WorkersError if another worker does not see its folder."""
        sign = self.folder / f"shared-{secrets.token_hex(4)}"

        def begun() -> list[Any]:
            index = begin()
            if not index.finished:
                sign.write_bytes(b"")
            return [sign.name, dataclasses.asdict(index)]

        name, content = self.workers.value_of_chief(begun)
        files = tuple(PictureFile(**file) for file in content["files"])
        index = PictureIndex(content["key"], content["finished"], files)
        if not index.finished:
            self.workers.require_no_problem(self._problem(self.folder / name))
            sign.unlink(missing_ok=True)
        return index

    def _problem(self, sign: pathlib.Path) -> str:
        """What keeps this worker from sharing the chief's folder; empty if nothing does."""
        if appears(sign.exists):
            return ""
        return (
            f"it does not see what the chief has written to {self.folder.absolute()}. That must be "
            "on storage that all workers mount at the same path."
        )

    def _computed(self, index: PictureIndex, compute: Compute) -> tuple[PictureFile, ...]:
        """This worker's files."""
        first, end = self._stretch(len(index.files))
        name, key = f"part-{first}-{end}.json", index.key | {"first": first}
        own = PictureIndex.read(self.folder, key, name).intact(self.folder)
        before = sum(file.pictures for file in index.files)
        line = ProgressLine(self.label, self.num_pictures, "pictures", before)
        with SharedWork(self.workers, line, before) as work:
            work.did(sum(file.pictures for file in own.files))
            for arrays in compute(first + len(own.files), end, work.did):
                file = write_pictures(self.folder, first + len(own.files), arrays)
                own = dataclasses.replace(own, files=(*own.files, file))
                own.write(self.folder, name)
        return own.files

    def _stretch(self, done: int) -> tuple[int, int]:
        """The numbers of the first file of this worker and of the first after it."""
        worker, left = self.workers.this, self.number - done
        places = worker.index, worker.index + 1
        first, end = (done + left * place // worker.count for place in places)
        return first, end
