"""Allows one writer at a time, through a locked file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from typing import IO

from cdisc_tfds.storage import is_remote, path_of
from cdisc_tfds.storage_lock import locked_object

_HELD = (errno.EAGAIN, errno.EACCES)
# Errors of a file system without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], refusal: Exception) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`, which exists only during the block.

    The lock ends with this process at the latest, even if the process is killed. It works across
    hosts if the file system's locks do; on a file system without locks, it logs a warning. On a
    storage, `locked_object` stands for it.

    Args:
      path: the file; its folder must exist.
      refusal: the error to raise if another process holds the lock.
    """
    if is_remote(path):
        with locked_object(path_of(path), refusal):
            yield
        return
    file = _opened(path, refusal)
    try:
        yield
    finally:
        # Remove it while it is locked: a process that opened it earlier finds out in `_opened`. If
        # somebody removed it meanwhile, the file there may be the lock of another process.
        if _is_at(file, path):
            os.unlink(path)
        file.close()


def _opened(path: str | os.PathLike[str], refusal: Exception) -> IO[str]:
    """The file, open and locked."""
    while True:
        file = open(path, "w")  # noqa: SIM115 (closed by `locked`)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                logging.warning(
                    "The file system of %s has no locks (%s): make sure that nothing else writes "
                    "there.",
                    path,
                    error,
                )
                return file
            file.close()
            if error.errno in _HELD:
                raise refusal from None
            raise
        if _is_at(file, path):
            return file
        file.close()  # its holder removed it between our opening and locking it


def _is_at(file: IO[str], path: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
