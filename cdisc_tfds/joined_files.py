"""Several files with the offsets of one, as if they lay end to end.

What is read never goes on from one file into the next: a document lies within its file.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
# Files that are open at a time: records in another order than the files' need many of them in turn.
_MOST_OPEN = 64


@dataclasses.dataclass(frozen=True)
class JoinedFile:
    """One of the files: its bytes have the offsets [begin, end)."""

    path: str
    begin: int
    end: int


@dataclasses.dataclass(frozen=True)
class JoinedFiles:
    """The files, in the order of their offsets."""

    files: tuple[JoinedFile, ...]

    @classmethod
    def of(cls, files: Iterable[tuple[str | os.PathLike[str], int]]) -> JoinedFiles:
        """Args: files: path and size of each, in their order."""
        paths, sizes = zip(*files)
        ends = list(itertools.accumulate(sizes))
        return cls(tuple(map(JoinedFile, map(os.fspath, paths), [0, *ends], ends)))

    @classmethod
    def one(cls, path: str | os.PathLike[str]) -> JoinedFiles:
        """A single file, with the size that it has now."""
        return cls.of([(path, os.path.getsize(path))])

    @property
    def size(self) -> int:
        """The offset after the last byte."""
        return self.files[-1].end

    def at(self, offset: int) -> JoinedFile:
        """The file that the byte at `offset` is in; at the end of all, the last file."""
        return self.files[bisect.bisect_right(self._begins, offset) - 1]

    def within(self, begin: int, end: int) -> JoinedFiles:
        """Those files alone that have bytes in [begin, end); their offsets stay."""
        return JoinedFiles(
            tuple(file for file in self.files if max(file.begin, begin) < min(file.end, end))
        )

    @functools.cached_property
    def _begins(self) -> list[int]:
        return [file.begin for file in self.files]


class JoinedReader:
    """Random access by offset through one buffer, never larger than the files.

    The bytes that it returns stay valid until the next read.

    Attributes:
      files: the files.
      size: the offset after their last byte.
      block_bytes: how many bytes one read takes at least, as far as the file has them.
    """

    def __init__(self, files: JoinedFiles):
        self.files, self.size, self.block_bytes = files, files.size, _BLOCK_BYTES
        self._open: collections.OrderedDict[str, BinaryIO] = collections.OrderedDict()
        longest = max(file.end - file.begin for file in files.files)
        # Reused for every read: allocating memory costs more than filling it.
        self._buffer = memoryview(bytearray(min(_BLOCK_BYTES, longest)))
        self._start, self._block = 0, self._buffer[:0]
        self._file(files.files[0].path)  # an error of the first file comes at once

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, offset: int, num_bytes: int) -> memoryview:
        """Returns `num_bytes` bytes from `offset`; the caller ensures that its file has them."""
        begin = offset - self._start
        if begin < 0 or begin + num_bytes > len(self._block):
            left = self.files.at(offset).end - offset
            wanted = max(num_bytes, min(self.block_bytes, left))
            fits = wanted <= len(self._buffer)
            self._block = self._buffer[:wanted] if fits else memoryview(bytearray(wanted))
            self._start, begin = offset, 0
            self._read_into(self._block, offset)
        return self._block[begin : begin + num_bytes]

    def _pread(self, offset: int, wanted: int) -> bytearray:
        """Reads without using the buffer."""
        target = bytearray(wanted)
        self._read_into(memoryview(target), offset)
        return target

    def _read_into(self, target: memoryview, offset: int) -> None:
        """Fills `target`, in several calls if needed: one system call reads at most 2 GiB."""
        file = self.files.at(offset)
        descriptor, begin = self._file(file.path).fileno(), offset - file.begin
        filled = 0
        while filled < len(target):
            count = os.preadv(descriptor, [target[filled:]], begin + filled)
            if not count:
                raise OSError(
                    f"{file.path} had {file.end - file.begin} bytes when it was opened and ends "
                    f"now at byte {begin + filled}: it must not change while it is read."
                )
            filled += count

    def _file(self, path: str) -> BinaryIO:
        """The open file; closes the one that was used longest ago, if there are many."""
        file = self._open.pop(path, None)
        if file is None:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by `close`)
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open[path] = file
        return file
