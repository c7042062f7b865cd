"""The name of the row with a decoder's rate; importable without TensorFlow."""

from benchmarks.input import BATCH_SIZE


def decoding_row(decoder: str) -> str:
    """The row with a decoder's rate."""
    return f"batches of {BATCH_SIZE} with --decoder={decoder}, no training"
