"""Measures the wait from the command to the first training step, beyond the unavoidable floor.

    python -m benchmarks.start

We time `python -m trainer.main` from the command to the end of the first step. The floor is a
program that imports TensorFlow and Keras, builds and compiles the same network, and takes one step
on a batch of zeros. Libraries and data are in the page cache.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row

NETWORKS = ("cnn", "inception")
_MORE_SECONDS = 5


def run(settings: Settings) -> list[Row]:
    """One row for each of NETWORKS in `settings.networks`."""
    from benchmarks.training import training_config, training_data

    data = training_data(settings)
    rows = []
    for name in (name for name in NETWORKS if name in settings.networks):
        config = training_config(settings, data, name)
        trainer = [
            f"--data_dir={config.data_dir}",
            f"--model={name}",
            "--weights=none",
            f"--image_size={config.image_size}",
        ]
        floor = [name, config.image_size, config.batch_size, config.optimizer, config.precision]
        floor.append(data.categories.num_categories)
        runs = {
            "command": lambda flags=trainer: seconds_of("trainer_first_step", flags),
            "floor": lambda arguments=floor: seconds_of("network_first_step", arguments),
        }
        if not rows:
            for measure in runs.values():
                measure()  # fills the page cache
        rows.append(_row(name, take_turns(f"start, {name}", runs, settings.repeats)))
    return rows


def _row(name: str, seconds: dict[str, list[float]]) -> Row:
    ours, floor = seconds["command"], seconds["floor"]
    more = statistics.median(a - b for a, b in zip(ours, floor, strict=True))
    return Row(
        "start",
        f"seconds to the first step of {name}, beyond importing and building",
        unit="s",
        ours=more,
        at_most=_MORE_SECONDS,
        note=(
            f"the command's first step is done after {statistics.median(ours):.1f} s; that of a "
            f"program that only imports, builds and takes a step on zeros after "
            f"{statistics.median(floor):.1f} s"
        ),
    )


def seconds_of(function: str, arguments: list[Any]) -> float:
    """Seconds from the start of a new Python to the end of the first step in `function`."""
    code = f"import sys; from benchmarks.start import {function}; {function}(*sys.argv[1:])"
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ | {"BENCHMARK_RUN_DIR": folder},
        )
    if result.returncode or not result.stdout:
        raise RuntimeError(f"{function} did not reach its first step: {result.stderr[-2000:]}")
    return float(result.stdout.split()[-1]) - start


def _first_step_is_done() -> None:
    print(time.time(), flush=True)
    os._exit(0)  # at once, because we do not measure the rest


def trainer_first_step(*flags: str) -> None:
    """Runs `python -m trainer.main` with these flags until its first step is done."""
    from trainer import main as trainer_main
    from trainer.settings.settings import Settings as TrainerSettings
    from trainer.terminal import command

    def main(options: trainer_main.Options, settings: TrainerSettings) -> None:
        _end_after_first_step()
        trainer_main.main(options, settings)

    run_dir = os.path.join(os.environ["BENCHMARK_RUN_DIR"], "run")
    sys.argv = ["trainer.main", *flags, f"--run_dir={run_dir}"]
    command.run(main, trainer_main.Options, TrainerSettings)


def _end_after_first_step() -> None:
    """Makes training in this process end after its first step."""
    # Import only after the command has read its flags: it is about to import TensorFlow anyway.
    from trainer.training import training
    from trainer.training.hooks import Hook, Place
    from trainer.training.step import TrainStep

    class End(Hook):
        def __init__(self, step: TrainStep):
            self._step = step

        def before_step(self, place: Place) -> None:
            if not place.is_first:
                self._step.metrics.values()  # waits for the device
                _first_step_is_done()

    take_steps = training.run_steps

    def run_steps(
        step: TrainStep, batches: Any, plan: training.EpochPlan, hooks: Sequence[Hook]
    ) -> None:
        take_steps(step, batches, plan, [End(step), *hooks])

    training.run_steps = run_steps


def network_first_step(
    name: str, image_size: str, batch_size: str, optimizer: str, precision: str, classes: str
) -> None:
    """Imports the libraries, builds the network, and takes one step on a batch in memory."""
    import keras
    import tensorflow as tf

    from trainer.models import networks as models
    from trainer.models.losses import SparseCrossentropy
    from trainer.models.optimizers import build_optimizer

    keras.config.set_dtype_policy(precision)
    size = int(image_size)
    model = models.build_model(name, int(classes), image_size=size, weights="none")
    models.set_trainable(model, "all")
    model.compile(
        optimizer=build_optimizer(optimizer, learning_rate=1e-3, policy=precision),
        loss=SparseCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    pictures = tf.zeros([int(batch_size), size, size, 3], tf.uint8)
    batch = (pictures, tf.zeros([int(batch_size)], tf.int32))
    dataset = tf.data.Dataset.from_tensors(batch)
    model.fit(dataset, steps_per_epoch=1, verbose=0)
    _first_step_is_done()


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="start"))
