"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file beside `path` that takes its name when the block is left without an error.

    What `path` held before is replaced.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def rename_synced(written: str, path: str) -> None:
    """Renames a file once it is on the disk: under its new name it outlives a power failure."""
    with open(written, "rb") as file:
        os.fsync(file.fileno())
    os.replace(written, path)
