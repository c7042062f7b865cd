"""The benchmarks' data: a competition repeated to any size, its data set, or its picture files.

The functions create everything once below `Settings.work_dir`, under a temporary name first, so a
folder with its final name is complete.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator

import bson

from benchmarks.measure import say
from benchmarks.settings import Settings
from cdisc_tfds.bson_file import read_documents

SPLITS = ("train", "test")


def competition(settings: Settings, products: int) -> pathlib.Path:
    """A folder with train.bson, test.bson and category_names.csv, `products` products in total."""
    folder = settings.work_dir / f"competition-{products}"
    if not folder.exists():
        source = source_files(settings)
        say(f"making a competition of {products:,} products from {source}")
        with _made_whole(folder) as partial:
            replicate(source, partial, products)
    return folder


def data_dir(settings: Settings, products: int) -> pathlib.Path:
    """A TFDS data folder with the data set of `competition(settings, products)`."""
    folder = settings.work_dir / f"dataset-{products}"
    if not folder.exists():
        manual_dir = competition(settings, products)
        say(f"building the data set of {products:,} products")
        with _made_whole(folder) as partial:
            # In a separate process, because this one may run TensorFlow's threads.
            code = "import sys; from benchmarks.data import build; build(*sys.argv[1:])"
            subprocess.run([sys.executable, "-c", code, str(manual_dir), str(partial)], check=True)
    return folder


def without_room(settings: Settings, products: int) -> str | None:
    """The reason that the disk is too small to build `products` products; None if it suffices."""
    source = source_files(settings)
    documents = sum(1 for split in SPLITS for _ in read_documents(_bson(source, split)))
    # Space for the input, its records in parts, and the shards.
    needed = 3.5 * num_bytes(source) * products / documents
    free = shutil.disk_usage(settings.work_dir).free
    if free >= needed:
        return None
    return (
        f"not measured: it needs {needed / 1e9:.0f} GB in {settings.work_dir}, which has "
        f"{free / 1e9:.0f} GB. Choose another --work_dir (or TMPDIR), or fewer products"
    )


def num_bytes(folder: pathlib.Path) -> int:
    """Total bytes of a competition's .bson files."""
    return sum(_bson(folder, split).stat().st_size for split in SPLITS)


def picture_files(settings: Settings, products: int) -> pathlib.Path:
    """The training pictures of `competition(settings, products)` as CATEGORY/PRODUCT-PLACE.jpg."""
    folder = settings.work_dir / f"pictures-{products}"
    if not folder.exists():
        train = competition(settings, products) / "train.bson"
        say(f"writing the pictures of {products:,} products to files")
        with _made_whole(folder) as partial:
            for _, _, document in read_documents(train):
                category = partial / str(document["category_id"])
                category.mkdir(exist_ok=True)
                for place, image in enumerate(document["imgs"]):
                    path = category / f"{document['_id']}-{place}.jpg"
                    path.write_bytes(image["picture"])
    return folder


def source_files(settings: Settings) -> pathlib.Path:
    """The folder of the competition to repeat: the user's, or the generated sample."""
    if settings.input_dir is not None:
        return settings.input_dir
    folder = settings.work_dir / "sample"
    if not folder.exists():
        with _made_whole(folder) as partial:
            train = settings.sample_products
            command = [sys.executable, "-m", "cdisc_tfds.sample", f"--output_dir={partial}"]
            command += [f"--products={train}", f"--test_products={max(1, train // 4)}"]
            command += [f"--categories={min(48, train // 8)}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


@contextlib.contextmanager
def _made_whole(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder; renames it to `folder` if the block succeeds, and removes it if not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replicate(input_dir: pathlib.Path, output_dir: pathlib.Path, products: int) -> None:
    """Writes a competition with `products` products: it repeats the input's under new ids.

    Args:
      input_dir: folder with train.bson, test.bson and category_names.csv.
      output_dir: existing folder for the same files.
      products: number of products in both splits, in the input's proportions.
    """
    shutil.copy(input_dir / "category_names.csv", output_dir)
    documents = {
        split: [_around_id(document) for _, _, document in read_documents(_bson(input_dir, split))]
        for split in SPLITS
    }
    num_train = len(documents["train"])
    train = round(products * num_train / (num_train + len(documents["test"])))
    ids = itertools.count()
    for split, number in (("train", train), ("test", products - train)):
        with open(_bson(output_dir, split), "wb", buffering=1 << 20) as file:
            for before, behind in itertools.islice(itertools.cycle(documents[split]), number):
                file.write(before + struct.pack("<i", next(ids)) + behind)


def _bson(folder: pathlib.Path, split: str) -> pathlib.Path:
    return folder / f"{split}.bson"


def _around_id(document: dict) -> tuple[bytes, bytes]:
    """The document's BSON bytes before and after the 4 bytes of its id.

    The id follows the length (4 bytes), the type int32 (1), and the name `_id` with a zero (4).
    """
    encoded = bson.encode({"_id": 0} | {k: v for k, v in document.items() if k != "_id"})
    return encoded[:9], encoded[13:]


def build(manual_dir: str, target: str) -> None:
    """Builds the data set of the files in `manual_dir` into the TFDS data folder `target`."""
    import tensorflow_datasets as tfds

    import cdisc_tfds

    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    cdisc_tfds.Builder(data_dir=target).download_and_prepare(download_config=config)
