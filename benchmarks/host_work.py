"""Measures the processor time that a picture costs beside a GPU that decodes.

    python -m benchmarks.host_work [--input_dir=DIR] [--products=40000]

With DALI on a GPU, the processor reads records, shuffles, checks headers and packs the files of a
batch; decoding, random changes and scaling are the GPU's. That part needs neither a GPU nor DALI.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import tensorflow as tf

from benchmarks.input import our_batches, training_batches
from benchmarks.measure import cpu_seconds, say
from benchmarks.settings import Settings
from benchmarks.table import Row
from trainer.data.augmentation_table import AUGMENTATIONS
from trainer.data.dali_rows import Packing, packed_batches

_TARGET = 70.0  # us
_BATCHES = 200


def _packed(
    device: str, batches: tf.data.Dataset, image_size: int, batch_size: int
) -> tf.data.Dataset:
    """In place of `decode_on`: DALI's input."""
    rows = packed_batches(batches, Packing(batches.element_spec[1]), image_size, batch_size)
    return rows.map(lambda row: (row,))


def files_for_dali(settings: Settings) -> Iterator[Any]:
    """Endless batches of files with labels and draws, as DALI receives them."""
    with mock.patch("trainer.data.input_pipeline.decode_on", _packed):
        dataset = training_batches(
            settings,
            augment=AUGMENTATIONS["flip_shift"],
            decoder="dali",
            device="the GPU",
        )
    return iter(dataset.repeat())


def run(settings: Settings) -> list[Row]:
    """The row of the host's work, and for comparison the work with TensorFlow's decoder."""
    costs: dict[str, list[float]] = {"dali": [], "tf": []}
    for turn in range(settings.repeats):
        say(f"host work: turn {turn + 1} of {settings.repeats}")
        costs["dali"].append(1e6 * cpu_seconds(files_for_dali(settings), _BATCHES))
        costs["tf"].append(1e6 * cpu_seconds(our_batches(settings), _BATCHES))
    dali, tensorflow = (sorted(values)[len(values) // 2] for values in costs.values())
    return [
        Row(
            "host_work",
            "processor time per picture without decoding, for DALI on a GPU",
            unit="us",
            ours=dali,
            at_most=_TARGET,
            note=f"with TensorFlow's decoder, on the processor: {tensorflow:.0f} us",
        )
    ]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="host_work"))
