"""Compares an exported file with the run that it was made from, on real pictures."""

from __future__ import annotations

import dataclasses
import pathlib
import time

import numpy as np

from trainer.prediction.format_pictures import FilePictures
from trainer.prediction.model_runtimes import Runtime

# Pictures that the file also gets together: its batch may have any size.
TOGETHER = 8


@dataclasses.dataclass(frozen=True)
class FormatCheck:
    """How far an exported file is from its run.

    Attributes:
      split: where the pictures come from.
      pictures: how many were compared.
      bytes: size of the file.
      largest_difference: of any class's probability, on any picture.
      mean_difference: mean over the pictures of each one's largest difference.
      same_first_guess: share of the pictures whose most probable class is the run's.
      milliseconds: median time per picture, one at a time on one thread of this machine.
    """

    split: str
    pictures: int
    bytes: int
    largest_difference: float
    mean_difference: float
    same_first_guess: float
    milliseconds: float


def compare(
    path: pathlib.Path, runtime: Runtime, pictures: FilePictures, expected: np.ndarray
) -> FormatCheck:
    """Predicts pictures one by one, and the first ones together.

    Args:
      path: the file.
      runtime: what runs it.
      pictures: n pictures to check it with.
      expected: float32 [n, classes], the runs' probabilities.
    """
    images = pictures.checked
    runtime(images[:1])  # the first call also plans the memory
    rows, seconds = [], []
    for place in range(len(images)):
        start = time.perf_counter()
        rows.append(runtime(images[place : place + 1]))
        seconds.append(time.perf_counter() - start)
    together = np.abs(runtime(images[:TOGETHER]) - expected[:TOGETHER])
    received = np.concatenate(rows)
    differences = np.abs(received - expected).max(axis=1)
    return FormatCheck(
        split=pictures.split,
        pictures=len(images),
        bytes=path.stat().st_size,
        # Not Python's max: NaN has to stay NaN.
        largest_difference=float(np.max([differences.max(), together.max()])),
        mean_difference=float(differences.mean()),
        same_first_guess=float((received.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        milliseconds=round(1000 * float(np.median(seconds)), 2),
    )
