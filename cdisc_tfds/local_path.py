"""Paths as users write them, on a command line or in an environment variable."""

from __future__ import annotations

import os
import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class PathError(ValueError):
    """A path that is not one of this machine."""


def local_path(path: str | os.PathLike[str], name: str) -> str:
    """`path` with `~` expanded.

    Args:
      path: as the user wrote it.
      name: what it is, for the error message; for example the flag.

    Raises:
      PathError: if it has a scheme (gs://, s3://, ...), which would become a local folder.
    """
    text = os.fspath(path)
    if _SCHEME.match(text):
        raise PathError(
            f"{name} must be a path of this machine, without a scheme. Received: {text}. Copy the "
            "files here, or mount the storage."
        )
    return os.path.expanduser(text)
