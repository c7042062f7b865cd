"""How large the parts of a split are."""

import math

import pytest

from cdisc_tfds.build.split_job import MAX_PART_BYTES, MIN_PART_BYTES, MOST_PARTS, _part_bytes

TB = 10**12


@pytest.mark.parametrize(
    ("size", "processes", "part_bytes"),
    [
        (1000, 2, MIN_PART_BYTES),
        (58 * 10**9, 2, MAX_PART_BYTES),
        (58 * 10**9, 64, 64 << 20),  # all processes together stay below a limit
        (8 * TB, 2, math.ceil(8 * TB / MOST_PARTS)),  # a shard reads a stretch of each part
        (8 * TB, 64, math.ceil(8 * TB / MOST_PARTS)),
    ],
)
def test_parts_are_bounded_in_bytes_then_in_number(size, processes, part_bytes):
    assert _part_bytes(size, processes) == part_bytes
    assert math.ceil(size / part_bytes) <= MOST_PARTS
