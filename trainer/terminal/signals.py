"""Stops commands: SIGTERM, Ctrl-C and SIGHUP set a flag that long-running work checks."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import types
from collections.abc import Iterator

# Windows has no SIGHUP (sent when the terminal closes).
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


def heeded_signals() -> tuple[signal.Signals, ...]:
    """`SIGNALS` without those that the process was started to ignore, as by `nohup`."""
    return tuple(number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN)


class StopAsked(Exception):
    """A signal arrived during work that can stop between two batches."""


@dataclasses.dataclass
class StopFlag:
    """Whether a signal has requested a stop, and which one."""

    signal: int | None = None

    @property
    def raised(self) -> bool:
        return self.signal is not None

    def check(self) -> None:
        """Raises StopAsked if a signal has requested a stop."""
        if self.raised:
            raise StopAsked


@contextlib.contextmanager
def stop_signals() -> Iterator[StopFlag]:
    """Within the block, signals set the flag; a second Ctrl-C raises KeyboardInterrupt.

    If nothing acted on a signal within the block, the previous handler gets it afterwards: another
    network may be waiting to train. Outside the main thread, signal handling does not change.
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
