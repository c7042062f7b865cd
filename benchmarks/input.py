"""Measures the rate of shuffled batches of pictures, against the floor and other pipelines.

    python -m benchmarks.input [--input_dir=DIR] [--products=40000] [--seconds=4]

All pipelines read the same pictures from the page cache, shuffle, decode on all cores and deliver
batches, without training. Each fills its buffers before the clock starts. Each peer is configured
as in its own documentation and delivers its own type (uint8 or float32).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import floor_jpeg, peer_torch
from benchmarks.data import competition, data_dir, picture_files
from benchmarks.measure import cpu_seconds, picture_rate, take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from cdisc_tfds.bson_file import read_documents
from cdisc_tfds.machine import num_cores

BATCH_SIZE = 128
WHAT = "shuffled batches of pictures"
FLOOR = "floor: libjpeg-turbo on all cores, result thrown away"
TORCH = "PyTorch DataLoader with Pillow, a worker a core"
_FLOOR_JPEGS = 20_000  # 150 MB: more than a processor's cache

Rate = Callable[[], float]


def training_batches(settings: Settings, **changes: Any) -> Any:
    """An epoch of `trainer.data.input_pipeline`; `changes` are arguments of `train_dataset`."""
    from trainer.data.dataset import open_dataset
    from trainer.data.input_pipeline import train_dataset
    from trainer.data.label_map import LabelMap
    from trainer.data.labelled_split import LabelledSplit

    data = open_dataset(data_dir(settings, settings.products))
    return train_dataset(
        LabelledSplit(data.split("train"), LabelMap(data.categories)),
        batch_size=BATCH_SIZE,
        image_size=settings.image_size,
        seed=0,
        epoch=0,
        shuffle_buffer=settings.shuffle_buffer,
        **changes,
    )


def our_batches(settings: Settings) -> Iterator:
    """Endless batches of `trainer.data.input_pipeline`, as training reads them."""
    return iter(training_batches(settings).repeat())


def _tfds_batches(settings: Settings) -> Iterator:
    from benchmarks import peer_tfds
    from trainer.data.dataset import open_dataset

    data = open_dataset(data_dir(settings, settings.products))
    return peer_tfds.batches(data.data_path, BATCH_SIZE)


def _keras_batches(settings: Settings) -> Iterator:
    from benchmarks import peer_keras

    folder = picture_files(settings, settings.products)
    return peer_keras.batches(folder, BATCH_SIZE, settings.image_size)


def training_jpegs(settings: Settings, count: int) -> list[bytes]:
    """The first `count` training pictures of the replicated competition."""
    train = competition(settings, settings.products) / "train.bson"
    pictures = (
        image["picture"] for _, _, document in read_documents(train) for image in document["imgs"]
    )
    return list(itertools.islice(pictures, count))


def decoding_floor(settings: Settings) -> Rate:
    """A function that measures the floor, in pictures/s."""
    jpegs = training_jpegs(settings, _FLOOR_JPEGS)
    return functools.partial(
        floor_jpeg.decoding_rate, jpegs, threads=num_cores(), seconds=settings.seconds
    )


def run(settings: Settings) -> list[Row]:
    """The rows of the input pipeline."""
    data_dir(settings, settings.products)  # create the data before the clock starts
    peers, skipped = _peers(settings)
    ours = "ours"
    runs = {ours: lambda: picture_rate(our_batches(settings), settings.seconds), **peers}
    rates = take_turns("input", runs, settings.repeats)
    rows = [
        compare(
            "input",
            WHAT,
            peer,
            "pictures/s",
            rates[ours],
            rates[peer],
            at_least=0.9 if peer == FLOOR else 1,
        )
        for peer in peers
    ]
    rows = [
        dataclasses.replace(row, note=_why_below(settings))
        if row.peer == FLOOR and not row.reached
        else row
        for row in rows
    ]
    return rows + [
        Row("input", WHAT, peer, note=f"not measured: {reason}") for peer, reason in skipped.items()
    ]


def _why_below(settings: Settings) -> str:
    """Tells a picture's cost in libjpeg-turbo, in TensorFlow's operation, and in the pipeline."""
    jpegs = training_jpegs(settings, _FLOOR_JPEGS)
    batches = max(10, _FLOOR_JPEGS // BATCH_SIZE)
    costs = [
        floor_jpeg.cpu_seconds(jpegs),
        floor_jpeg.cpu_seconds_in_batches(jpegs, BATCH_SIZE),
        cpu_seconds(_decoded_by_operation(jpegs), batches),
        cpu_seconds(our_batches(settings), batches),
    ]
    floor, batched, decoding, ours = (f"{1e6 * cost:.0f} us" for cost in costs)
    return (
        f"a picture keeps a core busy for {floor} in simplejpeg's libjpeg-turbo, for {batched} "
        f"where its pixels are kept in a batch, for {decoding} in TensorFlow's decode_jpeg alone, "
        f"which has a libjpeg-turbo of its own, and for {ours} in all of the pipeline"
    )


def _decoded_by_operation(jpegs: list[bytes]) -> Iterator:
    """Endless batches of one byte per picture, decoded by TensorFlow without a pipeline."""
    import tensorflow as tf

    @tf.function
    def decode(batch: tf.Tensor) -> tf.Tensor:
        pictures = [
            tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
            for jpeg in tf.unstack(batch)
        ]
        return tf.stack([picture[0, 0, 0] for picture in pictures])

    size = min(BATCH_SIZE, len(jpegs))
    for start in itertools.cycle(range(0, len(jpegs) - size + 1, size)):
        yield (decode(tf.constant(jpegs[start : start + size])),)


def _peers(settings: Settings) -> tuple[dict[str, Rate], dict[str, str]]:
    """The peers to measure, by name, and the reasons for the skipped ones, by name."""
    seconds, cores = settings.seconds, num_cores()
    peers: dict[str, Rate] = {}
    skipped: dict[str, str] = {}
    if floor_jpeg.simplejpeg is None:
        skipped[FLOOR] = floor_jpeg.MISSING
    else:
        peers[FLOOR] = decoding_floor(settings)
    peers["TFDS as_dataset, map, batch"] = lambda: picture_rate(_tfds_batches(settings), seconds)
    peers["Keras image_dataset_from_directory"] = lambda: picture_rate(
        _keras_batches(settings), seconds
    )
    files = picture_files(settings, settings.products)
    if peer_torch.installed():
        peers[TORCH] = lambda: peer_torch.measured_rate(files, BATCH_SIZE, cores, seconds)
    else:
        skipped[TORCH] = peer_torch.MISSING
    train = competition(settings, settings.products) / "train.bson"
    peers["Kagglers' BSON generator with an offset table"] = _kaggle_rate(train, settings)
    return peers, skipped


def _kaggle_rate(train: pathlib.Path, settings: Settings) -> Rate:
    from benchmarks import peer_kaggle

    table = peer_kaggle.offset_table(train)

    def rate() -> float:
        generator = peer_kaggle.BsonGenerator(train, table, BATCH_SIZE, settings.image_size)
        batches = generator.batches(threads=num_cores())
        try:
            return picture_rate(batches, settings.seconds)
        finally:
            batches.close()
            generator.close()

    return rate


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="input"))
