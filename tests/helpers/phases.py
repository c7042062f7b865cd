"""Runs an unchanged command of the trainer and records its phase, for tests that kill it.

    python -m tests.helpers.phases FILE trainer.main --model=cnn ...

FILE always holds one line: the number of phases so far and the name of the current one, e.g.
`17 head: validation`, and how far the checkpoint has got that is being written meanwhile: `18 head:
training, head: checkpoint renamed`. It outlives the process, so it tells which phase a kill hit.
"""

from __future__ import annotations

import contextlib
import functools
import os
import runpy
import sys
import threading
import time
from collections.abc import Callable

# Phases, and the methods of classes in `trainer.training.training` that are one, innermost last.
START = "start, or between networks"
PHASES = (
    ("building the network", "Training", "__init__"),
    ("preparing the stage", "Training", "_prepare_stage"),
    ("restoring", "Training", "_restore"),
    ("training", "Training", "_train_epoch"),
    ("features", "FeatureFeed", "prepare"),
    ("validation", "PictureFeed", "validate"),
    ("validation", "FeatureFeed", "validate"),
    ("weights file", "CheckpointStore", "add_weights"),
    ("copying a checkpoint", "Training", "_commit"),
)
# The writer stays this long at each of its points, in seconds, as on a slow disk: else training of
# a small network would not go on meanwhile, and hardly a kill would hit.
LINGER = 0.05
_LINE_BYTES = 120


class PhaseFile:
    """The file with the current phase; written in place, so a reader never finds it empty."""

    def __init__(self, path: str):
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        self._count = 0
        self._within = [START]
        self._written = ""
        self._lock = threading.Lock()
        self._write()

    @property
    def name(self) -> str:
        """The phase of training, and that of a checkpoint that is being written meanwhile."""
        return f"{self._within[-1]}, {self._written}" if self._written else self._within[-1]

    @contextlib.contextmanager
    def phase(self, name: str):
        self._within.append(name)
        self._write()
        try:
            yield
        finally:
            self._within.pop()
            self._write()

    def written(self, phase: str) -> None:
        """Notes the phase of the checkpoint that is being written; "": there is none any more."""
        self._written = phase
        self._write()

    def _write(self) -> None:
        with self._lock:
            self._count += 1
            line = f"{self._count} {self.name}".ljust(_LINE_BYTES)
            os.pwrite(self._descriptor, line.encode(), 0)


def read_phase(path: str | os.PathLike[str]) -> tuple[int, str]:
    """(number of phases so far, name of the last one); (0, START) before the first."""
    try:
        with open(path, encoding="utf-8") as file:
            count, _, name = file.read().strip().partition(" ")
    except FileNotFoundError:
        return 0, START
    return int(count or 0), name or START


def _noted(function: Callable, name: str, file: PhaseFile, part: Callable[[], str]) -> Callable:
    @functools.wraps(function)
    def call(*args, **kwargs):
        with file.phase(part() + name):
            return function(*args, **kwargs)

    return call


def note_phases(file: PhaseFile) -> None:
    """Wraps the trainer's functions so that they record when they start and end."""
    from tests.helpers.killing import DONE, follow_writer
    from trainer.training import training

    stage = [""]

    def note_point(point: str) -> None:
        file.written("" if point == DONE else f"{stage[0]}checkpoint {point}")
        time.sleep(LINGER)

    def note_stage(prepare: Callable) -> Callable:
        def call(self, new_stage):
            folder = self._run.path
            specialist = folder.parent.name == "specialists"
            within = {"level1": "level 1"}.get(folder.name, new_stage.name)
            stage[0] = f"{'specialist' if specialist else within}: "
            prepare(self, new_stage)

        return call

    for name, owner, function in PHASES:
        holder = getattr(training, owner)
        noted = _noted(getattr(holder, function), name, file, lambda: stage[0])
        is_stage = function == "_prepare_stage"
        setattr(holder, function, note_stage(noted) if is_stage else noted)
    follow_writer(note_point)


def main() -> None:
    path, module = sys.argv[1:3]
    file = PhaseFile(path)
    from trainer.terminal import command

    command.setup()
    note_phases(file)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
