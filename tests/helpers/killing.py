"""Ends training at a chosen step, like a kill."""

from __future__ import annotations

from collections.abc import Callable

from trainer.training.hooks import Hook, Place


class Killed(BaseException):
    """Stands for the end of the process: the trainer does not catch it."""


class KillAt(Hook):
    """Ends training at the `call`-th call of `before_step`, counted from 1."""

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
