"""Does a network train as fast on the real pipeline as on a batch that lies in memory?

    python -m benchmarks.steps [--networks=cnn,inception]

Each epoch of a real `trainer.train.train` is one turn: its own `fit`, with the pipeline and all of
the trainer's hooks, and the same network's `fit` on one batch held in memory, without hooks.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import sys
import tempfile
from typing import Any

import keras
import tensorflow as tf

from benchmarks import floor_jpeg
from benchmarks.input import decoding_floor
from benchmarks.measure import say
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import (
    Fit,
    fit_rate,
    in_memory,
    steps_in,
    train_with,
    training_config,
    training_data,
)

_TARGET = 0.97
_WARM_UP = 2


class Turns:
    """Answers the trainer's calls of `fit`: each is a turn, but for the first, which warms up.

    Args:
      settings: of the benchmarks.
      model: the network's name.

    Attributes:
      real, memory: steps a second, one value a turn.
    """

    def __init__(self, settings: Settings, model: str):
        self._settings, self._model = settings, model
        self._memory_batch: tf.data.Dataset | None = None
        self._steps = 0
        self.real: list[float] = []
        self.memory: list[float] = []

    def __call__(
        self, fit: Fit, model: keras.Model, batches: tf.data.Dataset, **arguments: Any
    ) -> None:
        most = arguments["steps_per_epoch"] - _WARM_UP
        if self._memory_batch is None:
            self._memory_batch = in_memory(batches)
            rate = fit_rate(fit, model, self._memory_batch, 3, _WARM_UP)
            self._steps = min(most, steps_in(self._settings.seconds, rate))
            fit_rate(fit, model, batches, 1, 0, **arguments)
            return
        say(f"steps: turn {len(self.real) + 1}, {self._model}, {self._steps} steps")
        runs = [
            lambda: self.real.append(
                fit_rate(fit, model, batches, self._steps, _WARM_UP, **arguments)
            ),
            lambda: self.memory.append(
                fit_rate(fit, model, self._memory_batch, self._steps, _WARM_UP)
            ),
        ]
        for run_one in runs if len(self.real) % 2 else reversed(runs):
            run_one()


def run(settings: Settings) -> list[Row]:
    """A row a network."""
    data = training_data(settings)
    rows = []
    for name in settings.networks:
        config = training_config(settings, data, name, epochs=settings.repeats + 1)
        turns = Turns(settings, name)
        with tempfile.TemporaryDirectory() as folder:
            train_with(config, data, pathlib.Path(folder) / "run", turns)
        keras.backend.clear_session()
        real, memory = (
            [config.batch_size * rate for rate in rates] for rates in (turns.real, turns.memory)
        )
        row = compare(
            "steps",
            f"{name} ({config.precision}, batch {config.batch_size}) on the pipeline",
            "one batch in memory",
            "pictures/s",
            real,
            memory,
            at_least=_TARGET,
        )
        rows.append(row)
    return _explained(rows, settings)


def _explained(rows: list[Row], settings: Settings) -> list[Row]:
    """Adds to what was missed how much of it is the decoding, which needs the same cores."""
    missed = [row for row in rows if row.reached is False]
    if not missed or floor_jpeg.simplejpeg is None or tf.config.list_physical_devices("GPU"):
        return rows
    decoding = statistics.median(decoding_floor(settings)() for _ in range(settings.repeats))
    return [
        row
        if row not in missed
        else dataclasses.replace(
            row,
            note=(
                f"decoding and network share the cores: libjpeg-turbo alone decodes "
                f"{decoding:,.0f} pictures/s on all of them, so a ratio of at most "
                f"{decoding / (decoding + row.theirs):.3f} is possible without an accelerator"
            ),
        )
        for row in rows
    ]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="steps"))
