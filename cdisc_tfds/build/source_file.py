"""Recognises a `.bson` file, and detects changes to it during a build."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import xxhash

from cdisc_tfds.storage import path_of

# We hash all of a file up to this size, and evenly spaced blocks of a larger one. The files of a
# split share these bytes.
WHOLE_BYTES = 64 << 20
BLOCK_BYTES = 64 << 10


class ChangedFileError(OSError):
    """An input file changed during the build."""


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """Identifies a file without reading all of it.

    Attributes:
      path: its path.
      num_bytes: its size.
      modified: time of its last change, in nanoseconds.
      inode: its number in the file system.
      sample: XXH3 of its size and contents; if it is larger than `sample_bytes`, of blocks of
        64 KiB with so many bytes in all.
    """

    path: str
    num_bytes: int
    modified: int
    inode: int
    sample: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], sample_bytes: int = WHOLE_BYTES) -> SourceFile:
        """The file as it is now; `sample_bytes` are two blocks or more."""
        before = path_of(path).stat()
        file = cls(
            os.fspath(path),
            before.st_size,
            before.st_mtime_ns,
            before.st_ino,
            _sample(path, before.st_size, sample_bytes),
        )
        file.require_unchanged()
        return file

    def to_metadata(self) -> dict[str, Any]:
        """The file's entry in the data set's metadata, which omits its folder."""
        return {
            "file": os.path.basename(self.path),
            "bytes": self.num_bytes,
            "modified": self.modified,
            "sample": self.sample,
        }

    def require_unchanged(self) -> None:
        """Raises ChangedFileError if the file has changed."""
        try:
            now = path_of(self.path).stat()
        except FileNotFoundError:
            received = "no file"
        else:
            if (now.st_size, now.st_mtime_ns, now.st_ino) == (
                self.num_bytes,
                self.modified,
                self.inode,
            ):
                return
            received = f"{now.st_size:,} bytes" if now.st_size != self.num_bytes else "new contents"
        raise ChangedFileError(
            f"{self.path} must not change while a data set is built from it. It had "
            f"{self.num_bytes:,} bytes when the build began. Received: {received}. Start the "
            "build again when the file is complete."
        )

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raises ChangedFileError if the file changes within the block."""
        with changes_told(self.require_unchanged):
            yield


@contextlib.contextmanager
def changes_told(require_unchanged: Callable[[], None]) -> Iterator[None]:
    """Calls `require_unchanged` after the block.

    A change can look like damage, so ChangedFileError replaces an error about damage.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        try:
            require_unchanged()
        except ChangedFileError as changed:
            raise changed from error
        raise
    require_unchanged()


def _sample(path: str | os.PathLike[str], size: int, sample_bytes: int) -> str:
    digest = xxhash.xxh3_128(size.to_bytes(8, "little"))
    with path_of(path).open("rb") as file:
        if size <= sample_bytes:
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
        number = sample_bytes // BLOCK_BYTES
        for block_number in range(number):
            file.seek((size - BLOCK_BYTES) * block_number // (number - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()
