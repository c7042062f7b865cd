"""Predicts whether the page cache keeps a file between two readings."""

from __future__ import annotations

import pathlib

# The build's output passes through the page cache as well.
_SHARE = 0.5


def stays_in_page_cache(num_bytes: int, root: pathlib.Path = pathlib.Path("/")) -> bool:
    """Whether files of `num_bytes` stay in memory while the build writes as many bytes.

    Only Linux reports the free memory; on other systems the result is False.

    Args:
      num_bytes: total size of the files.
      root: the folder that contains `proc` and `sys`.
    """
    return num_bytes <= _SHARE * _available(root)


def _available(root: pathlib.Path) -> int:
    """Bytes of memory that are available in the machine and in this process's container."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        meminfo = dict(line.split(":", 1) for line in lines)
        available = int(meminfo["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return 0
    return min([available, *_container_limits(root)])


def _container_limits(root: pathlib.Path) -> list[int]:
    """The rest of each memory limit on the path to this process's control group (version 2)."""
    try:
        line = (root / "proc/self/cgroup").read_text().splitlines()[-1]
    except (OSError, IndexError):
        return []
    top = root / "sys/fs/cgroup"
    group = top / line.rpartition(":")[2].lstrip("/")
    limits = []
    for folder in [group, *group.parents]:
        if not folder.is_relative_to(top):
            break
        try:
            limit = int((folder / "memory.max").read_text())
            used = int((folder / "memory.current").read_text())
            # The system reclaims the memory of cached files when it is needed.
            statistics = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
            limits.append(limit - used + int(statistics["file"]))
        except (OSError, ValueError, KeyError):  # "max" or no such files: no limit
            continue
    return limits
