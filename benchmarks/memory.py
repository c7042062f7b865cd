"""Checks that the memory of training does not grow with the data set.

    python -m benchmarks.memory [--memory_products=2000,200000]

Fresh processes run the trainer's own training of a small network on the same number of pictures,
from a small data set (in several epochs) and from a large one. The shuffle buffer is the same and
full in both. Its number of JPEGs (--shuffle_buffer) is constant, but a data set with fewer pictures
would not fill it.
"""

from __future__ import annotations

import math
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

from benchmarks.data import SPLITS, competition, data_dir, source_files, without_room
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from cdisc_tfds.bson_file import read_documents

NETWORK = "logistic"
BATCH_SIZE = 64
_FLAT = 1.05
_PICTURES = 20_000  # minimum for each run


def run(settings: Settings) -> list[Row]:
    """Two rows: one compares the two data sets, the other shows the cost of the default buffer."""
    few, many = settings.memory_products
    what = "peak while training on {:,} products, buffer of {:,} pictures"
    buffer = min(settings.shuffle_buffer, few)
    if note := without_room(settings, _products_in_all(settings, many)):
        return [Row("memory", what.format(many, buffer), note=note)]
    small, large = (_folder_with(settings, products) for products in (few, many))
    size = settings.image_size
    runs = {
        f"{few:,} products": lambda: peak_memory(small, buffer, size),
        f"{many:,} products": lambda: peak_memory(large, buffer, size),
    }
    peaks = list(take_turns("memory", runs, settings.repeats).values())
    full = peak_memory(large, settings.shuffle_buffer, size)
    return [
        compare(
            "memory",
            what.format(many, buffer),
            f"{few:,} products",
            "GB",
            peaks[1],
            peaks[0],
            at_most=_FLAT,
            note="the index of the products alone grows: 13 bytes a product, 92 MB at 7,069,896",
        ),
        Row("memory", what.format(many, settings.shuffle_buffer), unit="GB", ours=full),
    ]


def _products_in_all(settings: Settings, train_products: int) -> int:
    """Products of both splits that include `train_products` for training, in the input's ratio."""
    train, test = (
        sum(1 for _ in read_documents(source_files(settings) / f"{split}.bson")) for split in SPLITS
    )
    return math.ceil(train_products * (train + test) / train)


def _folder_with(settings: Settings, train_products: int) -> pathlib.Path:
    """The TFDS data folder of a data set with `train_products` training products."""
    products = _products_in_all(settings, train_products)
    folder = data_dir(settings, products)
    shutil.rmtree(competition(settings, products))  # gigabytes, no longer needed
    return folder


def peak_memory(folder: pathlib.Path, shuffle_buffer: int, image_size: int) -> float:
    """Peak resident memory, in GB, of a new training process."""
    code = "import sys; from benchmarks.memory import train_and_tell as t; t(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), str(shuffle_buffer), str(image_size)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(result.stdout.split()[-1])


def train_and_tell(folder: str, shuffle_buffer: str, image_size: str) -> None:
    """Trains on at least _PICTURES pictures, and prints the process's peak memory in GB."""
    from benchmarks.training import train_with
    from trainer.data.dataset import open_dataset
    from trainer.settings.resolve import resolve
    from trainer.settings.settings import Settings as TrainerSettings

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

    config = resolve(TrainerSettings.of(**values), data)
    with tempfile.TemporaryDirectory() as run_dir:
        train_with(
            config,
            data,
            pathlib.Path(run_dir) / "run",
            lambda epoch: epoch.run(min(left, epoch.steps_left)),
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="memory"))
