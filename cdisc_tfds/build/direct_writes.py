"""Writes large files past the page cache, where the system and the file system know how to.

A page of the cache has to be found, filled and written out later. That takes several times as much
of a processor as the disk's taking the bytes from this process's memory (O_DIRECT on Linux), and
what was in the cache before makes room: here, the input. Such writes come from aligned addresses,
to aligned offsets, in aligned sizes; the file is cut to its true size at its end.
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
# More than any disk's block that is common; a disk with larger ones refuses, see `_write`.
_ALIGNMENT = 4096
# Buffers that no file is using: of memory that was used before.
_spare: list[memoryview] = []


def write_pieces(file: IO[bytes], pieces: Iterable[bytes | memoryview]) -> None:
    """Writes the pieces end to end to a new, empty file. A piece may change once it was taken.

    One buffer is filled while the system writes the other.
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
            # Short only where the disk or a limit is full: once more, to be told which.
            data = data[os.write(descriptor, data) :]
        except OSError as error:
            if error.errno != errno.EINVAL or not _set_direct(descriptor, False):
                raise


def _set_direct(descriptor: int, direct: bool) -> bool:
    """Turns O_DIRECT on or off; whether that changed anything."""
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
