"""Does the memory that training needs grow with the data set?

    python -m benchmarks.memory [--memory_products=2000,200000]

The same number of pictures goes through the trainer's own training of a small network, in fresh
processes, from a small data set (in several epochs) and from a large one. The shuffle's buffer is
the same and full in both: it holds as many JPEGs as the flag --shuffle_buffer says, so it is a
constant, but a data set with fewer pictures would not fill it.
"""

from __future__ import annotations

import math
import pathlib
import resource
import subprocess
import sys
import tempfile

from benchmarks.data import competition, data_dir
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare

NETWORK = "logistic"
BATCH_SIZE = 64
_FLAT = 1.05
_PICTURES = 20_000  # that each run trains on, at least


def run(settings: Settings) -> list[Row]:
    """Two rows: whether it is flat, and what the default buffer costs."""
    few, many = settings.memory_products
    small, large = (_folder_with(settings, products) for products in (few, many))
    buffer = min(settings.shuffle_buffer, few)
    size = str(settings.image_size)
    runs = {
        "few": lambda: peak_memory(small, buffer, size),
        "many": lambda: peak_memory(large, buffer, size),
    }
    peaks = take_turns("memory", runs, settings.repeats)
    full = peak_memory(large, settings.shuffle_buffer, size)
    return [
        compare(
            "memory",
            f"peak while training on {many:,} products, buffer of {buffer:,} pictures",
            f"{few:,} products",
            "GB",
            peaks["many"],
            peaks["few"],
            at_most=_FLAT,
            note="the index of the products alone grows: 13 bytes a product, 92 MB at 7,069,896",
        ),
        Row(
            "memory",
            f"peak while training on {many:,} products, "
            f"buffer of {settings.shuffle_buffer:,} pictures",
            unit="GB",
            ours=full,
        ),
    ]


def _folder_with(settings: Settings, train_products: int) -> pathlib.Path:
    """The TFDS data folder of a data set with so many training products."""
    # Both splits are repeated alike, so their proportion is that of a small one.
    probe = competition(settings, 1000)
    share = _count(probe / "train.bson") / 1000
    return data_dir(settings, math.ceil(train_products / share))


def _count(path: pathlib.Path) -> int:
    from cdisc_tfds.bson_file import read_documents

    return sum(1 for _ in read_documents(path))


def peak_memory(folder: pathlib.Path, shuffle_buffer: int, image_size: str) -> float:
    """Peak resident memory, in GB, of a new process that trains."""
    code = "import sys; from benchmarks.memory import train_and_tell as t; t(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), str(shuffle_buffer), image_size]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(result.stdout.split()[-1])


def train_and_tell(folder: str, shuffle_buffer: str, image_size: str) -> None:
    """Trains on _PICTURES pictures or somewhat more, and prints the process's peak memory in GB."""
    from benchmarks.training import train_with
    from trainer.config import Config
    from trainer.dataset import open_dataset
    from trainer.resolve import resolve

    data = open_dataset(folder)
    left = math.ceil(_PICTURES / BATCH_SIZE)
    steps = math.ceil(data.split("train").num_pictures / BATCH_SIZE)
    values = {
        "data_dir": folder,
        "train_split": "train[:-8]",
        "validation_split": "train[-8:]",
        "model": NETWORK,
        "image_size": int(image_size),
        "batch_size": BATCH_SIZE,
        "shuffle_buffer": int(shuffle_buffer),
        "epochs": math.ceil(left / steps),
    }

    def fit(fit, model, batches, **arguments) -> None:
        arguments["steps_per_epoch"] = min(left, arguments["steps_per_epoch"])
        fit(model, batches, **arguments)

    config = resolve(Config(**values), data, frozenset(values))
    with tempfile.TemporaryDirectory() as run_dir:
        train_with(config, data, pathlib.Path(run_dir) / "run", fit)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="memory"))
