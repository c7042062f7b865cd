"""Whether a file that was read once can be read again without the disk."""

from __future__ import annotations

import pathlib

# What the build writes passes through the page cache as well.
_SHARE = 0.5


def stays_in_page_cache(num_bytes: int, root: pathlib.Path = pathlib.Path("/")) -> bool:
    """Whether files of so many bytes stay in memory while as much is written.

    Told by Linux alone; elsewhere it is False.

    Args:
      num_bytes: all files together.
      root: the folder with `proc` and `sys`.
    """
    return num_bytes <= _SHARE * _available(root)


def _available(root: pathlib.Path) -> int:
    """Bytes that the machine, and the container that this process runs in, can still give."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        meminfo = dict(line.split(":", 1) for line in lines)
        available = int(meminfo["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return 0
    return min([available, *_container_limits(root)])


def _container_limits(root: pathlib.Path) -> list[int]:
    """What is left of each memory limit on the way to this process's control group (version 2)."""
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
            # What files take of it is given back when it is needed.
            statistics = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
            limits.append(limit - used + int(statistics["file"]))
        except (OSError, ValueError, KeyError):  # "max", or no such files: no limit
            continue
    return limits
