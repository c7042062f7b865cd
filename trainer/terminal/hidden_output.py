"""Hides what the C++ of libraries prints."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def hidden_stderr(*, show_on_error: bool = True) -> Iterator[None]:
    """Hides all that the process writes to stderr in the block.

    For libraries that write directly to the file descriptor and have no setting against it.

    Args:
      show_on_error: whether to show it if the block raises.
    """
    with tempfile.TemporaryFile() as said:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            if show_on_error:
                said.seek(0)
                os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
