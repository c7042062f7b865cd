"""Second half of a build whose parts hold records: it merges them into the split's shards.

A shard is a range of the global order, so it takes one contiguous stretch from each part. The build
writes it front to back from a few long reads, in pieces that bound the memory. Shards do not depend
on one another.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from cdisc_tfds.build.direct_writes import write_pieces
from cdisc_tfds.whole_files import removed_on_error

# A piece goes through memory as one: few enough bytes to stay in a processor's cache between being
# read and being written.
PIECE_BYTES = 8 << 20
# From so many parts on, pieces grow with their number: a piece opens each part's file, which on a
# shared file system costs more than its bytes.
_MANY_PARTS = 2048
_PARTS_PER_PIECE = 256


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
        piece_bytes = PIECE_BYTES
        if len(self.records) >= _MANY_PARTS:
            piece_bytes *= len(self.records) // _PARTS_PER_PIECE
        whole = self._piece(begin, end)
        while begin < end:
            # At least one record, then as many as fit.
            done = written[-(end - begin)] - self.size[begin]
            last = end - len(written) + int(np.searchsorted(written, done + piece_bytes, "right"))
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
        numbers, firsts = np.unique(self.part[begin:end], return_index=True)
        offsets = self.offset[begin + firsts]
        for number, offset in zip(numbers.tolist(), offsets.tolist()):
            if _size(self.records[number]) > offset:
                os.truncate(self.records[number], offset)

    def short_parts(self, wanted: Sequence[tuple[int, int]]) -> list[int]:
        """The parts whose files lack bytes of records in the ranges (begin, end) `wanted`."""
        needed = np.zeros(len(self.records), np.int64)
        for begin, end in wanted:
            ends = self.offset[begin:end] + self.size[begin:end]
            np.maximum.at(needed, self.part[begin:end], ends)
        return [number for number, path in enumerate(self.records) if _size(path) < needed[number]]

    def _piece(self, begin: int, end: int) -> Piece:
        part, offset, size = (column[begin:end] for column in (self.part, self.offset, self.size))
        # Rows by part, each in the split's order, whatever the number of parts.
        by_part = np.argsort(part, kind="stable")
        numbers, counts = np.unique(part, return_counts=True)
        lasts = by_part[np.cumsum(counts) - 1]
        firsts = by_part[np.cumsum(counts) - counts]
        lengths = offset[lasts] + size[lasts] - offset[firsts]
        before = np.cumsum(lengths) - lengths
        begins = np.empty(end - begin, np.int64)
        begins[by_part] = offset[by_part] + np.repeat(before - offset[firsts], counts)
        paths = [self.records[number] for number in numbers.tolist()]
        stretches = list(zip(paths, offset[firsts].tolist(), lengths.tolist()))
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
