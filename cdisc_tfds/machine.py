"""The resources that this process may use."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Processor cores that this process may use, at least 1.

    On Linux, this respects the limits of containers and batch systems; other systems (macOS) do not
    report limits, so all cores count there.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
