"""Shows the project's own errors without a traceback to users of `tfds build`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def told_briefly() -> Iterator[None]:
    """Ends the `tfds` command with only the message if the project raises one of its own errors.

    Other programs, and other errors, get the usual exception.
    """
    try:
        yield
    except Exception as error:
        ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
        if not ours or not _is_tfds_command() or "--pdb" in sys.argv:
            raise
        raise SystemExit(f"\nThe data set was not built. {_message(error)}") from error


def _is_tfds_command() -> bool:
    program = sys.argv[0]
    return os.path.basename(program) == "tfds" or program.endswith(
        os.path.join("tensorflow_datasets", "scripts", "cli", "main.py")
    )


def _message(error: Exception) -> str:
    """The message, without the number that an OSError puts before it."""
    return str(getattr(error, "strerror", None) or error)
