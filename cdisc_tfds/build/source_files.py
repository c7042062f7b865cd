"""Recognises the files of a split, and detects changes to them during a build."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

from cdisc_tfds.build.source_file import BLOCK_BYTES, WHOLE_BYTES, SourceFile, changes_told
from cdisc_tfds.joined_files import JoinedFiles

_LEAST_BLOCKS = 4  # of each file


@dataclasses.dataclass(frozen=True)
class SourceFiles:
    """Identifies the files of a split without reading all of them.

    Attributes:
      files: the files, in the order in which they are read.
    """

    files: tuple[SourceFile, ...]

    @classmethod
    def of(cls, paths: Sequence[str]) -> SourceFiles:
        """The files as they are now."""
        share = sample_bytes(len(paths))
        return cls(tuple(SourceFile.of(path, share) for path in paths))

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return self.joined.size

    @functools.cached_property
    def joined(self) -> JoinedFiles:
        """The files end to end; all offsets of the build count over all of them."""
        return JoinedFiles.of((file.path, file.num_bytes) for file in self.files)

    def place(self, offset: int) -> tuple[str, int]:
        """Name of the file, and byte in it, of an offset that counts over all files."""
        file = self.joined.at(offset)
        return os.path.basename(file.path), offset - file.begin

    def within(self, begin: int, end: int) -> list[SourceFile]:
        """The files that have bytes in [begin, end)."""
        paths = {file.path for file in self.joined.within(begin, end).files}
        return [file for file in self.files if file.path in paths]

    def to_metadata(self) -> list[dict[str, Any]]:
        """The files' entries in the data set's metadata."""
        return [file.to_metadata() for file in self.files]

    def require_unchanged(self) -> None:
        """Raises ChangedFileError if a file has changed."""
        for file in self.files:
            file.require_unchanged()

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raises ChangedFileError if a file changes within the block."""
        with changes_told(self.require_unchanged):
            yield


def sample_bytes(num_files: int) -> int:
    """How many bytes of a file its identity covers if the split has so many files."""
    return max(WHOLE_BYTES // num_files, _LEAST_BLOCKS * BLOCK_BYTES)
