"""Compares the training speed of a network on the real pipeline and on a batch in memory.

    python -m benchmarks.steps [--networks=cnn,inception]

Each epoch of a real training is one turn: it times the epoch's own steps, with the pipeline and all
hooks of the trainer, and the same training step on one batch in memory, without hooks.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import sys
import tempfile

import keras
import tensorflow as tf

from benchmarks import floor_jpeg
from benchmarks.input import training_jpegs
from benchmarks.measure import say
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import (
    Epoch,
    Pace,
    steps_in,
    train_with,
    training_config,
    training_data,
)
from cdisc_tfds.machine import num_cores
from trainer.data.dataset import CdiscountData
from trainer.models.network_table import MODELS

_TARGET = 0.97
_WARM_UP = 2
_JPEGS = 5_000  # pictures to decode for the timing


class Turns:
    """Runs the trainer's epochs: each is one turn, except the first, which warms up.

    Args:
      settings: settings of the benchmarks.
      model: name of the network.

    Attributes:
      real, memory: the paces on the pipeline and in memory, one per turn.
    """

    def __init__(self, settings: Settings, model: str):
        self._settings, self._model = settings, model
        self._memory: Epoch | None = None
        self._steps = 0
        self.real: list[Pace] = []
        self.memory: list[Pace] = []

    def __call__(self, epoch: Epoch) -> None:
        if self._memory is None:
            self._memory = epoch.in_memory()
            pace = self._memory.timed(3, _WARM_UP)
            most = epoch.steps_left - _WARM_UP
            self._steps = min(most, steps_in(self._settings.seconds, pace.steps_per_second))
            epoch.run(1)
            return
        turn = len(self.real)
        say(f"steps: turn {turn + 1} of {self._settings.repeats}, {self._model}")
        turns = [(self._memory, self.memory), (epoch, self.real)]
        for what, paces in reversed(turns) if turn % 2 else turns:
            paces.append(what.timed(self._steps, _WARM_UP))


def run(settings: Settings) -> list[Row]:
    """One row per network; several names of the same network share a row."""
    data = training_data(settings)
    names_of: dict[int, list[str]] = {}
    for name in settings.networks:
        names_of.setdefault(id(MODELS[name]), []).append(name)
    return [_row(settings, data, names) for names in names_of.values()]


def _row(settings: Settings, data: CdiscountData, names: list[str]) -> Row:
    config = training_config(settings, data, names[0], epochs=settings.repeats + 1)
    turns = Turns(settings, names[0])
    with tempfile.TemporaryDirectory() as folder:
        train_with(config, data, pathlib.Path(folder) / "run", turns)
    keras.backend.clear_session()
    row = compare(
        "steps",
        f"{', '.join(names)} ({config.precision}, batch {config.batch_size}) on the pipeline",
        "one batch in memory",
        "pictures/s",
        *(
            [config.batch_size * pace.steps_per_second for pace in paces]
            for paces in (turns.real, turns.memory)
        ),
        at_least=_TARGET,
    )
    if row.reached or tf.config.list_physical_devices("GPU"):
        return row
    if floor_jpeg.simplejpeg is None:
        note = f"what the shared cores allow was not measured: {floor_jpeg.MISSING}"
        return dataclasses.replace(row, note=note)
    busy = statistics.median(pace.cpu_seconds for pace in turns.memory) / config.batch_size
    decoding = floor_jpeg.cpu_seconds(training_jpegs(settings, _JPEGS))
    return dataclasses.replace(row, note=shared_cores(busy, decoding, num_cores(), row.theirs))


def shared_cores(network: float, decoding: float, cores: int, rate: float) -> str:
    """Explains the largest possible ratio if the same cores decode and train.

    Args:
      network: seconds of one core per picture in the network.
      decoding: seconds of one core per picture in decoding.
      cores: number of cores.
      rate: pictures/s of the network on data in memory.
    """
    most = min(1.0, cores / (network + decoding) / rate)
    return (
        f"without an accelerator the same {cores} cores decode and train. A picture keeps a core "
        f"busy for {1e3 * network:.2f} ms in the network and {1e3 * decoding:.2f} ms in "
        f"libjpeg-turbo, and the network alone kept {network * rate / cores:.0%} of the cores "
        f"busy, so the ratio can be {most:.3f} at most (more than the truth where other programs "
        "ran meanwhile)"
    )


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="steps"))
