"""Second half of a build whose parts hold records: it merges them into the split's shards.

A shard is a range of the global order, so it takes one contiguous stretch from each part. The build
writes it front to back from a few long reads, in pieces that bound the memory. Shards do not depend
on one another.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.whole_files import removed_on_error

# A piece goes through memory as one: few enough bytes to stay in a processor's cache between being
# read and being written.
PIECE_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True)
class Piece:
    """Consecutive records of a shard.

    Attributes:
      stretches: (path, offset, bytes) of the parts' files to read, end to end.
      begins: int64 [n], offset of each record in the bytes read, in the shard's order.
      sizes: int64 [n], bytes of each record, including framing.
    """

    stretches: list[tuple[str, int, int]]
    begins: np.ndarray
    sizes: np.ndarray


@dataclasses.dataclass(frozen=True)
class MergeTask:
    """One shard to write: its pieces, and the stretch of each part that they read in total."""

    path: str
    pieces: list[Piece]
    stretches: list[tuple[str, int, int]]

    def write(self) -> None:
        """Writes the shard; removes it if that fails."""
        for path, offset, size in self.stretches:
            _read_ahead(path, offset, size)
        with removed_on_error(self.path) as file:
            write_pieces(file, self._records())

    def _records(self) -> Iterator[memoryview]:
        """Yields each framed record; it stays valid until the next one."""
        largest = max(sum(size for _, _, size in piece.stretches) for piece in self.pieces)
        # One buffer for all pieces; not a bytearray, which Python would first fill with zeros.
        buffer = np.empty(largest, np.uint8).data
        for piece in self.pieces:
            _read(piece.stretches, buffer)
            for begin, size in zip(piece.begins.tolist(), piece.sizes.tolist()):
                yield buffer[begin : begin + size]


class PartFileError(OSError):
    """A part's file is shorter than its table says."""


@dataclasses.dataclass(frozen=True, eq=False)
class Merge:
    """The location of each record of a split, in the split's order.

    Attributes:
      records: path of each part's records.
      part: int32 [n], the part of each record.
      offset: int64 [n], offset of the record in that part's file.
      size: int64 [n], bytes of the record, including framing.
    """

    records: list[str]
    part: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def shard(self, path: str, begin: int, end: int) -> MergeTask:
        """The task to write records `begin` to `end` of the split to `path`."""
        pieces, written = [], np.cumsum(self.size[begin:end])
        whole = self._piece(begin, end)
        while begin < end:
            # At least one record, then as many as fit.
            done = written[-(end - begin)] - self.size[begin]
            last = end - len(written) + int(np.searchsorted(written, done + PIECE_BYTES, "right"))
            last = min(max(last, begin + 1), end)
            pieces.append(self._piece(begin, last))
            begin = last
        return MergeTask(path, pieces, whole.stretches)

    def slice(self, begin: int, end: int) -> Merge:
        """The locations of records `begin` to `end` alone."""
        return Merge(
            self.records, self.part[begin:end], self.offset[begin:end], self.size[begin:end]
        )

    def release(self, begin: int, end: int) -> None:
        """Frees the disk space of records `begin` to `end`, and of all later ones.

        The shards from `begin` on must be finished.
        """
        for number in np.unique(self.part[begin:end]).tolist():
            first = begin + int(np.argmax(self.part[begin:end] == number))
            if _size(self.records[number]) > self.offset[first]:
                os.truncate(self.records[number], int(self.offset[first]))

    def short_parts(self, wanted: np.ndarray) -> list[int]:
        """The parts whose files lack bytes of the `wanted` records (bool [n])."""
        needed = np.zeros(len(self.records), np.int64)
        np.maximum.at(needed, self.part[wanted], (self.offset + self.size)[wanted])
        return [number for number, path in enumerate(self.records) if _size(path) < needed[number]]

    def _piece(self, begin: int, end: int) -> Piece:
        part, offset, size = (column[begin:end] for column in (self.part, self.offset, self.size))
        begins = np.empty(end - begin, np.int64)
        stretches, filled = [], 0
        for number in np.unique(part).tolist():
            rows = np.flatnonzero(part == number)
            first, behind = int(offset[rows[0]]), int(offset[rows[-1]] + size[rows[-1]])
            stretches.append((self.records[number], first, behind - first))
            begins[rows] = offset[rows] - first + filled
            filled += behind - first
        return Piece(stretches, begins, size)


def _size(path: str) -> int:
    """The file's size, or 0 without a file."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def _read_ahead(path: str, offset: int, size: int) -> None:
    """Asks the system to read a stretch in one go, so that a hard disk moves its arm only once."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), offset, size, os.POSIX_FADV_WILLNEED)


def _read(stretches: list[tuple[str, int, int]], buffer: memoryview) -> None:
    """Reads the stretches end to end into the buffer."""
    filled = 0
    for path, offset, size in stretches:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            end = filled + size
            while filled < end:
                if not (count := file.readinto(buffer[filled:end])):
                    raise PartFileError(
                        f"{path} must have {offset + size} bytes. Received: fewer. "
                        f"Delete {os.path.dirname(path)} and build again."
                    )
                filled += count
