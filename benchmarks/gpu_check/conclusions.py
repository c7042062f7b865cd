"""What follows from the rows: hours of an epoch, and what to do where a row misses its target."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gpu_check.decoding_rows import decoding_row
from benchmarks.table import Row

# Training pictures of the competition: 7,069,896 products.
EPOCH_PICTURES = 12_371_293
_ANYWHERE = ("tests", "decoding")  # parts that do not depend on the size of the measurements


def projections(rows: Sequence[Row]) -> list[Row]:
    """Hours of an epoch of the whole competition at each measured rate on the pipeline."""
    return [
        Row(
            "epoch",
            f"{EPOCH_PICTURES:,} pictures with {row.what.removesuffix(' on the pipeline')}",
            unit="hours",
            ours=EPOCH_PICTURES / row.ours / 3600,
            note="",
        )
        for row in rows
        if row.part == "network" and row.peer and row.ours
    ]


def advice(rows: Sequence[Row], has_gpu: bool = True) -> list[str]:
    """One line for each row that misses its target.

    Args:
      rows: all rows.
      has_gpu: whether a GPU was measured; else only failures say something.
    """
    return [
        f"{row.part}: {row.what}: {_what_to_do(row, rows)}"
        for row in rows
        if row.reached is False and (has_gpu or row.part in _ANYWHERE)
    ]


def _what_to_do(row: Row, rows: Sequence[Row]) -> str:
    if row.part == "network":
        return _slow_pipeline(row, rows)
    if row.part == "idle":
        return (
            "the GPU waits between kernels: a larger --batch_size, more --steps_per_call, or a "
            "faster input if the row on the pipeline misses its target too"
        )
    if row.part == "peer":
        return (
            f"{row.peer} is faster here: compare the rows with other precisions and xla=off, and "
            "the idle share"
        )
    if row.part == "tests":
        return "see the failures above; pytest -m gpu tests/gpu runs them alone"
    if row.part == "decoding":
        return "pixels differ too much: use --decoder=tf, and report the versions above"
    return "no advice for this row"


def _slow_pipeline(row: Row, rows: Sequence[Row]) -> str:
    rates = {one.what: one.ours for one in rows if one.part == "decoding" and one.ours}
    tf, dali = rates.get(decoding_row("tf")), rates.get(decoding_row("dali"))
    used = dali or tf
    assert row.theirs is not None
    if used is None:
        return "the rate of decoding was not measured; --profile_input tells what limits"
    if used < 1.2 * row.theirs:
        found = f"decoding alone makes {used:,.0f} pictures/s, the network takes {row.theirs:,.0f}"
        if dali is None:
            return f"the input is the limit ({found}): more cores, or --decoder=dali (`make gpu`)"
        return f"the input is the limit ({found}): more cores"
    return (
        "decoding is fast enough, so the time goes between the steps: a larger --batch_size, more "
        "--steps_per_call, fewer reads of the metrics (--log_every_steps)"
    )
