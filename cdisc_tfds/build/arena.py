"""Memory for the records of a part, reused for the next part.

When a process first touches memory, the system must find each 4 KiB page and fill it with zeros. In
a virtual machine the host must do so too, which can take longer than the rest of making a record.
"""

from __future__ import annotations

import functools

import numpy as np

_BLOCK_BYTES = 16 << 20


class Arena:
    """Stores byte strings end to end in large blocks until it is cleared."""

    def __init__(self) -> None:
        self._blocks: list[memoryview] = []
        self._next, self._used = 0, 0
        self._block = memoryview(bytearray())

    def keep(self, *pieces: bytes) -> memoryview:
        """Stores the concatenated pieces; the result stays valid until `clear`."""
        size = sum(map(len, pieces))
        if self._used + size > len(self._block):
            if size > _BLOCK_BYTES:
                return memoryview(b"".join(pieces))
            self._open_block()
        start = self._used
        for piece in pieces:
            end = self._used + len(piece)
            self._block[self._used : end] = piece
            self._used = end
        return self._block[start : self._used]

    def _open_block(self) -> None:
        if self._next == len(self._blocks):
            self._blocks.append(np.empty(_BLOCK_BYTES, np.uint8).data)
        self._block, self._used = self._blocks[self._next], 0
        self._next += 1

    def clear(self) -> None:
        """Starts over in the same memory."""
        self._next, self._used, self._block = 0, 0, memoryview(bytearray())


@functools.cache
def process_arena() -> Arena:
    """The arena of this process."""
    return Arena()


def free_process_arena() -> None:
    """Frees the memory of this process's arena."""
    process_arena.cache_clear()
