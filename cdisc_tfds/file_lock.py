"""One writer at a time, held by a locked file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from typing import IO

_HELD = (errno.EAGAIN, errno.EACCES)
# Errors of a file system that has no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], refusal: Exception) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`, which exists only meanwhile.

    The lock ends with this process at the latest, however the process ends. It works across hosts
    where the file system's locks do; where it has none, a warning says so.

    Args:
      path: the file; its folder must exist.
      refusal: the error to raise if somebody else holds the lock.
    """
    file = _opened(path, refusal)
    try:
        yield
    finally:
        # Removed while it is locked: whoever opened it before finds out in `_opened`.
        with contextlib.suppress(FileNotFoundError):
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
