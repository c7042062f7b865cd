"""A progress line with the rate and the remaining time."""

from __future__ import annotations

import sys
import time
from typing import TextIO


def duration(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class ProgressLine:
    """A line that is updated in place on a terminal, and printed every 30 seconds to a file.

    Args:
      label: name of the current work, e.g. `epoch 2/10`.
      total: number of items, or None if unknown.
      unit: name of the items, e.g. `pictures`.
      done: items that were finished before this line started (a resumed run); they do not count
        towards the rate.
      stream: where to print; None: stderr.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        unit: str,
        done: int = 0,
        stream: TextIO | None = None,
    ):
        self._label, self._total, self._unit = label, total, unit
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._every = 0.2 if self._terminal else 30.0
        self._start = self._shown = time.monotonic()
        self._first = done
        self._done = done
        self._width = 0

    @property
    def rate(self) -> float:
        """Items per second since the start."""
        return (self._done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def due(self) -> bool:
        """Whether `update` would print now; lets a caller skip preparing the text."""
        return time.monotonic() - self._shown >= self._every

    def update(self, done: int, text: str = "") -> None:
        """Records that `done` items are finished; prints if an update is due."""
        self._done = done
        if not self.due():
            return
        self._shown = time.monotonic()
        line = f"{self._label}  {self._progress()}  {self.rate:,.0f} {self._unit}/s"
        if self._total and self.rate > 0:
            line += f"  ETA {duration((self._total - done) / self.rate)}"
        self._print(f"{line}  {text}".rstrip())

    def close(self, text: str = "") -> None:
        """Clears the line and prints `text`, if given, in its place."""
        if self._terminal:
            self._stream.write("\r" + " " * self._width + "\r")
        if text:
            self._stream.write(text + "\n")
        self._stream.flush()

    def _progress(self) -> str:
        if self._total is None:
            return f"{self._done:,}"
        return f"{self._done:,}/{self._total:,}"

    def _print(self, line: str) -> None:
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
