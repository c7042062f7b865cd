"""Writes large files past the page cache, if the system and the file system support it.

The system must find each page of the cache, fill it and write it out later. This takes several
times as much processor time as a direct write from this process's memory (O_DIRECT on Linux), and
it evicts other data from the cache: here, the input. Direct writes need aligned addresses, offsets
and sizes; at the end, we truncate the file to its true size.
"""

from __future__ import annotations

import collections
import concurrent.futures
import errno
import fcntl
import mmap
import os
from collections.abc import Iterable
from typing import IO

BUFFER_BYTES = 4 << 20
# At least the block size of all common disks; a disk with larger blocks refuses, see `_write`.
_ALIGNMENT = 4096
# Unused buffers, in memory that the process has already touched.
_spare: list[memoryview] = []


def write_pieces(file: IO[bytes], pieces: Iterable[bytes | memoryview]) -> None:
    """Writes the pieces end to end to a new, empty file.

    The caller may reuse a piece's memory once it yields the next piece. While the system writes one
    buffer, this fills the other.
    """
    descriptor = file.fileno()
    _set_direct(descriptor, True)
    buffers = [_spare.pop() if _spare else memoryview(mmap.mmap(-1, BUFFER_BYTES)) for _ in "ab"]
    size, used = 0, 0
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        written: collections.deque[concurrent.futures.Future[None]] = collections.deque()
        for piece in pieces:
            while used + len(piece) > BUFFER_BYTES:
                room = BUFFER_BYTES - used
                buffers[0][used:] = piece[:room]
                piece, size, used = piece[room:], size + BUFFER_BYTES, 0
                written.append(thread.submit(_write, descriptor, buffers[0]))
                buffers.reverse()
                if len(written) > 1:  # the other buffer's
                    written.popleft().result()
            buffers[0][used : used + len(piece)] = piece
            used += len(piece)
        aligned = -(-used // _ALIGNMENT) * _ALIGNMENT
        written.append(thread.submit(_write, descriptor, buffers[0][:aligned]))
        for write in written:
            write.result()
    _spare.extend(buffers)
    os.truncate(descriptor, size + used)
    _set_direct(descriptor, False)
    file.seek(0, os.SEEK_END)


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        try:
            # A write is short only at a full disk or a limit; the next one raises the reason.
            data = data[os.write(descriptor, data) :]
        except OSError as error:
            if error.errno != errno.EINVAL or not _set_direct(descriptor, False):
                raise


def _set_direct(descriptor: int, direct: bool) -> bool:
    """Turns O_DIRECT on or off; returns whether that changed anything."""
    flag = getattr(os, "O_DIRECT", 0)
    before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    after = before | flag if direct else before & ~flag
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, after)
    except OSError as error:  # a file system without it
        if error.errno != errno.EINVAL:
            raise
        return False
    return before != after
