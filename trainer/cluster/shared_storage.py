"""Storage that all workers mount: what one of them writes, the others see after a while."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 60.0  # network file systems remember for a while that a file is missing
_SECONDS_BETWEEN_LOOKS = 0.5


def appears(is_there: Callable[[], bool]) -> bool:
    """Looks again and again for what another worker has written; returns whether it is there."""
    until = time.monotonic() + _SECONDS
    while not is_there():
        if time.monotonic() > until:
            return False
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return True
