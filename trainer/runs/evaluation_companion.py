"""Files beside an evaluation's JSON file, which names their SHA-256."""

from __future__ import annotations

import hashlib
import pathlib

from absl import logging

from cdisc_tfds.whole_files import whole_file


def write_companion(path: pathlib.Path, content: bytes) -> str:
    """Writes a file, whole or not at all; returns its SHA-256."""
    with whole_file(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def read_companion(path: pathlib.Path, sha256: str, holds: str) -> bytes | None:
    """The bytes of a file; None if it is gone.

    If the file has another SHA-256, a warning says so, and the result is None too.

    Args:
      path: the file.
      sha256: what the evaluation says of it.
      holds: what is in it, for the warning.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        logging.warning(
            "%s was changed, or belongs to another evaluation: its %s are left out. Evaluate the "
            "run again.",
            path,
            holds,
        )
        return None
    return content
