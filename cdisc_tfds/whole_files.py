"""Writes files that appear whole or not at all, even after a power cut."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from cdisc_tfds.storage import can_write_to, copy_file, copy_tree, is_remote, path_of

# Errors of a file system that cannot sync folders.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)

_LONGEST_NAME = 200  # bytes that a partial file's name takes from the whole one's; 255 are allowed


@contextlib.contextmanager
def whole_file(
    path: str | os.PathLike[str],
    mode: str = "wb",
    *,
    before_rename: Callable[[], None] = lambda: None,
    **kwargs: Any,
) -> Iterator[IO[Any]]:
    """Opens a file beside `path`, and renames it to `path` once all of it is on the disk.

    The rename replaces an existing file. If the block raises, `path` stays as it was and the new
    file is removed. A killed process may leave `.NAME.RANDOM.partial`.

    On a storage, the file lies in $TMPDIR until it is whole; the object appears when all of it has
    arrived.

    Args:
      path: the file to write.
      before_rename: called when all of the file is on the disk; if it raises, `path` stays.
      mode, **kwargs: as for `open`.
    """
    path = path_of(path)
    if is_remote(path):
        with _whole_object(path, mode, before_rename, **kwargs) as file:
            yield file
        return
    partial = partial_path(path)
    try:
        with open(partial, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        before_rename()
        os.replace(partial, path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _whole_object(
    path: pathlib.Path, mode: str, before_copy: Callable[[], None], **kwargs: Any
) -> Iterator[IO[Any]]:
    with tempfile.TemporaryDirectory(prefix="cdiscount-") as folder:
        whole = pathlib.Path(folder) / path.name
        with open(whole, mode, **kwargs) as file:
            yield file
        before_copy()
        copy_file(whole, path)


@contextlib.contextmanager
def whole_folder(path: pathlib.Path, last: str) -> Iterator[pathlib.Path]:
    """A new folder to fill, whose folder `whole` becomes `path`, which must not exist yet.

    Args:
      path: the folder.
      last: its file that is copied to a storage last: who finds it, finds all.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="cdiscount-") as text:
            yield pathlib.Path(text)
            copy_tree(pathlib.Path(text) / "whole", path, last)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same parent folder, so that the last step is a rename.
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder
        os.rename(folder / "whole", path)
    finally:
        shutil.rmtree(folder)


def partial_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """A new name beside `path` for a file that is not whole yet: `.NAME.RANDOM.partial`.

    It is random, because processes in containers that share a disk may have the same number.
    """
    path = path_of(path)
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST_NAME])
    return path.with_name(f".{name}.{secrets.token_hex(4)}.partial")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    with whole_file(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def removed_on_error(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a new file, and removes it if the block raises. `rename_synced` can finish it."""
    try:
        with open(path, "wb") as file:
            yield file
    except BaseException:
        pathlib.Path(path).unlink(missing_ok=True)
        raise


def rename_synced(written: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Syncs a file to the disk, then renames it, so that `path` survives a power cut."""
    sync_file(written)
    os.replace(written, path)
    sync_folder(os.path.dirname(path) or ".")


def sync_file(path: str | os.PathLike[str]) -> None:
    """Waits until the file's contents are on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Waits until the names in a folder are on the disk, if the file system supports that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def can_create(path: str | os.PathLike[str]) -> bool:
    """Whether this process may create `path`, and the folders above it that do not exist yet.

    Raises:
      OSError: if it lies on a storage that does not let this process write there.
    """
    if is_remote(path):
        return can_write_to(path_of(path).parent)
    folder = pathlib.Path(path).absolute().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
