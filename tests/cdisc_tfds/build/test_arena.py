"""Records kept in memory that is used again."""

import numpy as np
import pytest

from cdisc_tfds.build import arena
from cdisc_tfds.build.arena import Arena, free_process_arena, process_arena


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(arena, "_BLOCK_BYTES", 100)


def test_keeps_what_it_is_given():
    records = [bytes([number]) * size for number, size in enumerate([0, 1, 60, 60, 100, 101, 40])]
    kept = Arena()
    found = [kept.keep(record[:30], record[30:]) for record in records]
    assert [bytes(one) for one in found] == records


def test_uses_its_memory_again():
    kept = Arena()
    before = [np.asarray(kept.keep(b"a" * 60)) for _ in range(3)]
    kept.clear()
    after = [np.asarray(kept.keep(b"b" * 60)) for _ in range(4)]
    assert all(np.shares_memory(one, two) for one, two in zip(before, after))
    assert not any(np.shares_memory(one, two) for one, two in zip(after, after[1:]))


def test_a_process_has_one_until_it_is_freed():
    one = process_arena()
    assert process_arena() is one
    free_process_arena()
    assert process_arena() is not one
