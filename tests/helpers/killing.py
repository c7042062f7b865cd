"""Ends training at a chosen step, as a kill does."""

from __future__ import annotations

from collections.abc import Callable

from trainer.training.hooks import Hook, Place


class Killed(BaseException):
    """Stands for the process's end: nothing of the trainer's catches it."""


class KillAt(Hook):
    """Ends training at its `call`-th look between two steps, the first one counted as 1."""

    def __init__(self, call: int):
        self._left = call

    def before_step(self, place: Place) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


class Do(Hook):
    """Calls a function before each step."""

    def __init__(self, function: Callable[[Place], None]):
        self._function = function

    def before_step(self, place: Place) -> None:
        self._function(place)
