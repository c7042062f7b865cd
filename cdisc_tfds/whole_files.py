"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str], sync: bool = False) -> Iterator[BinaryIO]:
    """Opens a file beside `path` that takes its name when the block is left without an error.

    Args:
      path: the file; what it held before is replaced.
      sync: wait until it is on the disk, so that it outlives a power failure as well.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb", buffering=1 << 20) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
