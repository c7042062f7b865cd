"""Where a build keeps what it has finished, so that an interrupted one can be continued.

It lies beside the data set (`1.0.0.building` beside `1.0.0`), on the same disk: finished files are
linked into the data set, not copied.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator


class BuildFolderError(OSError):
    """The folder cannot be used."""


class DiskFullError(OSError):
    """There is not, or no longer, enough space on the disk."""


class BuildFolder:
    """The folder of one data set's build."""

    def __init__(self, dataset_dir: str | os.PathLike[str]):
        """Args: dataset_dir: where the finished data set will be."""
        self.dataset_dir = pathlib.Path(dataset_dir)
        self.path = self.dataset_dir.with_name(self.dataset_dir.name + ".building")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other builds of this data set out; the lock ends with this process at latest."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BuildFolderError(
                    f"One build at a time may write to {self.path.parent}. Another one is running. "
                    "Wait for it, or choose another folder with --data_dir."
                ) from None
            yield

    def remove_abandoned(self, current: str | os.PathLike[str]) -> None:
        """Removes the temporary folders of killed builds; `current` is this build's."""
        for path in self.path.parent.glob(f"incomplete.*_{self.dataset_dir.name}"):
            if path.name != pathlib.Path(current).name:
                shutil.rmtree(path)

    def require_space(self, needed: int) -> None:
        """Raises DiskFullError unless `needed` bytes are free, counting what is there already."""
        there = sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())
        free = shutil.disk_usage(self.path).free
        if free < needed - there:
            raise DiskFullError(
                errno.ENOSPC,
                f"The build needs {_gigabytes(needed - there)} of free space in "
                f"{self.path.parent}. Received: {_gigabytes(free)}. Free some, or choose another "
                "folder with --data_dir.",
            )

    @contextlib.contextmanager
    def clear_disk_errors(self, needed: int) -> Iterator[None]:
        """Says what to do when the disk is full after all."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise DiskFullError(
                error.errno,
                f"The disk (or a limit on file sizes) is full: {error}. The build needs "
                f"{_gigabytes(needed)} in all in {self.path.parent}. What is finished is kept in "
                f"{self.path}: make room and start the same command again to continue, or delete "
                "that folder.",
            ) from error

    def link(self, source: pathlib.Path, target: pathlib.Path) -> None:
        """Makes a finished file part of the data set without copying it."""
        try:
            os.link(source, target)
        except OSError as error:  # a file system without links
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            os.rename(source, target)

    def remove(self) -> None:
        shutil.rmtree(self.path)


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
