"""A PyTorch `DataLoader` with Pillow on picture files, one worker process per core.

    python -m benchmarks.peer_torch FOLDER BATCH_SIZE WORKERS SECONDS    # prints pictures/s

Loading PyTorch and TensorFlow in one process, or forking TensorFlow's threads, is not safe, so the
benchmark runs this in a separate process.
"""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measure import picture_rate

MISSING = "PyTorch is not installed (`pip install torch`; for the processor alone, see pytorch.org)"


def installed() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


class PictureFiles:
    """A map-style data set: (picture uint8 [size, size, 3] as a tensor, class)."""

    def __init__(self, folder: str | pathlib.Path):
        classes = sorted(path for path in pathlib.Path(folder).iterdir() if path.is_dir())
        self.files = [
            (str(path), label)
            for label, category in enumerate(classes)
            for path in sorted(category.iterdir())
        ]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torch

        path, label = self.files[index]
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))), label


def batches(folder: str | pathlib.Path, batch_size: int, workers: int) -> Iterator[Any]:
    """Endless (pictures uint8 [b, size, size, 3], classes int64 [b]), shuffled."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        PictureFiles(folder),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def measured_rate(
    folder: str | pathlib.Path, batch_size: int, workers: int, seconds: float
) -> float:
    """Pictures per second of `batches` in a new process."""
    arguments = [str(folder), str(batch_size), str(workers), str(seconds)]
    command = [sys.executable, "-m", "benchmarks.peer_torch", *arguments]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(result.stdout.split()[-1])


def main(folder: str, batch_size: str, workers: str, seconds: str) -> None:
    stream = batches(folder, int(batch_size), int(workers))
    print(picture_rate(stream, float(seconds), warm_up=20))


if __name__ == "__main__":
    main(*sys.argv[1:])
