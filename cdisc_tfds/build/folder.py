"""The folder of finished work from which an interrupted build resumes.

It is beside the data set (`1.0.0.building` beside `1.0.0`) and thus on the same disk, so that the
build can link finished files into the data set instead of copying them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator

from cdisc_tfds.file_lock import locked
from cdisc_tfds.storage import path_of
from cdisc_tfds.whole_files import can_create, sync_file, sync_folder, write_json

# Errors of a disk, a quota or a limit that leaves no room.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BuildFolderError(OSError):
    """The folder is not usable."""


class DiskFullError(OSError):
    """The disk has too little free space, before or during the build."""


class BuildFolder:
    """The folder of one data set's build."""

    def __init__(self, dataset_dir: str | os.PathLike[str]):
        """Args: dataset_dir: folder of the finished data set."""
        self.dataset_dir = path_of(dataset_dir)
        self.path = self.dataset_dir.with_name(self.dataset_dir.name + ".building")
        self._complete = self.path / "complete.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks out other builds of this data set until the block or this process ends.

        The locked file is beside the folder, because the build removes the folder while it holds
        the lock.
        """
        refusal = BuildFolderError(
            f"One build at a time may write to {self.path.parent}. Another one is running. "
            "Wait for it, or choose another folder with --data_dir."
        )
        if not can_create(self.path.parent / "lock"):
            raise BuildFolderError(
                "--data_dir must be a folder that can be written to, or a new one within such a "
                f"folder. Received, for the data set's part of it: {self.path.parent}."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.with_name(self.path.name + ".lock"), refusal):
            yield

    def prepare(self, current: str | os.PathLike[str]) -> None:
        """Creates the folder and removes the leftovers of killed builds. Needs the lock.

        Args:
          current: the temporary folder of TFDS for this build.
        """
        self.path.mkdir(exist_ok=True)
        self._complete.unlink(missing_ok=True)
        for path in self.path.parent.glob(f"incomplete.*_{self.dataset_dir.name}"):
            if path.name != pathlib.Path(current).name:
                shutil.rmtree(path)
        for pattern in (".*.partial", "*.written"):
            for path in self.path.rglob(pattern):
                path.unlink()

    def keep_only(self, names: Collection[str]) -> None:
        """Removes all folders in it but those with these names: the work of other builds."""
        for path in self.path.iterdir():
            if path.is_dir() and path.name not in names:
                shutil.rmtree(path)

    def require_space(self, needed: int) -> None:
        """Raises DiskFullError unless free space and finished files add up to `needed` bytes."""
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
        """Turns an error about a full disk into one that tells the user what to do."""
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise DiskFullError(
                error.errno,
                f"The disk (or a limit on file sizes) is full: {error}. The build needs "
                f"{_gigabytes(needed)} in all in {self.path.parent}. What is finished is kept in "
                f"{self.path}: make room and start the same command again to continue, or delete "
                "that folder.",
            ) from error

    def link(self, source: pathlib.Path, target: pathlib.Path) -> None:
        """Adds a finished file to the data set without copying it."""
        try:
            os.link(source, target)
        except OSError as error:  # a file system without links
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            os.rename(source, target)

    def mark_complete(self) -> None:
        """Marks the data set as complete, just before TFDS gives it its final name."""
        write_json(self._complete, {})

    @property
    def has_unproven_dataset(self) -> bool:
        """Whether the data set has its final name, but a power cut may have damaged it since."""
        return self._complete.exists() and self.dataset_dir.exists()

    def remove_unproven(self) -> None:
        """Removes such a data set; the build quickly recreates it from the folder's files."""
        shutil.rmtree(self.dataset_dir)

    def finish(self) -> None:
        """Syncs the data set to the disk, then removes the folder."""
        for path in self.dataset_dir.iterdir():
            if path.is_file():
                sync_file(path)
        sync_folder(self.dataset_dir)
        sync_folder(self.dataset_dir.parent)
        self._complete.unlink(missing_ok=True)
        sync_folder(self.path)
        shutil.rmtree(self.path)


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
