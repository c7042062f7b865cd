"""The section of one decoder: the input pipeline alone, and how far its pixels are from libjpeg's.

With DALI on a GPU, nvJPEG decodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.gpu_check.decoding_rows import decoding_row
from benchmarks.gpu_check.task import Report, Task, run_section
from benchmarks.input import training_batches, training_jpegs
from benchmarks.measure import picture_rate
from benchmarks.table import Row
from trainer.data.decoding import DecoderError, decode_batches, resolve_decoder
from trainer.training.devices import accelerators, prefetched

_COMPARED = 512  # pictures


def measure(task: Task, report: Report) -> None:
    """Rows: pictures/s of the pipeline with the task's decoder; DALI's pixels against `tf`'s."""
    settings = task.settings
    [(_, decoder)] = task.changes
    what = decoding_row(decoder)
    try:
        decoder = resolve_decoder(decoder)
    except DecoderError as error:
        report.row(Row("decoding", what, note=f"not measured: {error}"))
        return
    gpus = accelerators()
    # DALI leaves pixels on the GPU; those of TensorFlow are copied there.
    device = gpus[0] if gpus and decoder == "dali" else None
    dataset = training_batches(settings, decoder=decoder, device=device)
    rate = picture_rate(_endless(prefetched(dataset)), settings.seconds)
    report.row(Row("decoding", what, unit="pictures/s", ours=rate))
    if decoder != "tf":
        report.row(_difference(task, decoder))


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from batches


def _difference(task: Task, decoder: str) -> Row:
    """Mean difference of the pixels to TensorFlow's, in levels of 255."""
    jpegs = training_jpegs(task.settings, _COMPARED)
    batches = tf.data.Dataset.from_tensors((jpegs, tf.range(len(jpegs))))
    ours, theirs = (
        next(iter(decode_batches(batches, task.settings.image_size, len(jpegs), name)))[0].numpy()
        for name in (decoder, "tf")
    )
    difference = np.abs(ours.astype(int) - theirs)
    return Row(
        "decoding",
        f"mean difference of {decoder}'s pixels from tf's",
        unit="levels",
        ours=float(difference.mean()),
        at_most=1,
        note=(
            f"{len(jpegs)} pictures; largest difference {difference.max()}, and "
            f"{(difference > 2).mean():.2%} of the values differ by more than 2"
        ),
    )


if __name__ == "__main__":
    run_section(measure)
