"""How a service forms batches of pictures: our own, and TensorFlow Serving's configuration."""

from __future__ import annotations

import pathlib

from cdisc_tfds.whole_files import whole_file

MAX_BATCH = 32  # rows
MAX_WAIT_MS = 2.0  # little beside what a network takes for a picture
_MAX_ENQUEUED = 16  # batches that wait, before requests are refused
_TEXT = """\
# BatchingParameters of TensorFlow Serving (--enable_batching --batching_parameters_file=THIS).
# Rows of the SavedModel's inputs are independent of each other, and all of its outputs have a row
# for each of them, so that requests can share a batch. `num_batch_threads` is left at its default,
# the number of cores. Sizes of batches need no rounding (`allowed_batch_sizes`).
max_batch_size {{ value: {max_batch} }}
batch_timeout_micros {{ value: {wait_micros} }}
max_enqueued_batches {{ value: {max_enqueued} }}
"""


def write_batching(output: pathlib.Path) -> pathlib.Path:
    """Writes OUTPUT.batching.config beside the SavedModel `output`; returns the file's path."""
    beside = output.with_name(f"{output.name}.batching.config")
    text = _TEXT.format(
        max_batch=MAX_BATCH,
        wait_micros=round(1000 * MAX_WAIT_MS),
        max_enqueued=_MAX_ENQUEUED,
    )
    with whole_file(beside, "w", encoding="utf-8") as file:
        file.write(text)
    return beside
