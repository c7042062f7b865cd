"""What this process may use of the machine."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Processor cores that this process may use, at least 1.

    Containers and batch systems limit them on Linux; other systems (macOS) do not say, so all
    cores count there.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
