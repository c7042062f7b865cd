"""Asking a command to stop: SIGTERM, Ctrl-C and SIGHUP become a flag that long work looks at."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import types
from collections.abc import Iterator

# SIGHUP (the terminal was closed) is unknown on Windows.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


def heeded_signals() -> tuple[signal.Signals, ...]:
    """`SIGNALS` without those that whoever started the process has it ignore, as `nohup` does."""
    return tuple(number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN)


class StopAsked(Exception):
    """A signal came during work that can be left between two batches."""


@dataclasses.dataclass
class StopFlag:
    """Whether a signal has asked to stop, and which one."""

    signal: int | None = None

    @property
    def raised(self) -> bool:
        return self.signal is not None

    def check(self) -> None:
        """Raises StopAsked if a signal has asked to stop."""
        if self.raised:
            raise StopAsked


@contextlib.contextmanager
def stop_signals() -> Iterator[StopFlag]:
    """Within the block signals raise the flag; a second Ctrl-C raises KeyboardInterrupt.

    A signal that nobody acted on within the block goes on to the handler from before it: there may
    be another network to train. Outside of the main thread signals stay as they are.
    """
    flag = StopFlag()

    def handle(number: int, frame: types.FrameType | None) -> None:
        if number == signal.SIGINT and flag.signal == signal.SIGINT:
            raise KeyboardInterrupt
        flag.signal = number

    try:
        before = {number: signal.signal(number, handle) for number in heeded_signals()}
    except ValueError:  # not the main thread: a program that embeds us handles its own signals
        yield flag
        return
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if flag.signal is not None:
        signal.raise_signal(flag.signal)
