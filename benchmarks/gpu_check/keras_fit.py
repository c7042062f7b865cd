"""The section of a peer: `keras.Model.fit` on `image_dataset_from_directory`, the same network."""

from __future__ import annotations

import time

import keras
import tensorflow as tf

from benchmarks.data import picture_files
from benchmarks.gpu_check.task import Report, Task, run_section
from benchmarks.peer_keras import dataset
from benchmarks.table import Row, compare
from benchmarks.training import steps_in
from trainer.models.networks import build_model
from trainer.models.optimizers import build_optimizer

_PEER = "keras.Model.fit on image_dataset_from_directory"


class _Clock(keras.callbacks.Callback):
    """Steps per second after some warm-up steps; it acts only before a step."""

    def __init__(self, warm_up: int):
        super().__init__()
        self._warm_up, self._steps, self._start = warm_up, 0, 0.0
        self.steps_per_second = 0.0

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if batch == self._warm_up:
            self._start = time.perf_counter()
        self._steps = batch + 1

    def on_train_end(self, logs: object = None) -> None:
        seconds = time.perf_counter() - self._start
        self.steps_per_second = (self._steps - self._warm_up) / seconds


def measure(task: Task, report: Report) -> None:
    """A row: our rate on the pipeline against Keras's own loop and input."""
    folder = picture_files(task.settings, task.settings.products)
    classes = sum(1 for path in folder.iterdir() if path.is_dir())
    policy = task.trainer_settings["precision"]
    keras.config.set_dtype_policy(policy)
    size = task.settings.image_size
    model = build_model(task.network, classes, image_size=size, weights="none")
    model.compile(
        build_optimizer("adam", policy=policy),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    pictures = dataset(folder, task.batch_size, size).prefetch(tf.data.AUTOTUNE)
    warm_up = 20 if tf.config.list_physical_devices("GPU") else 2
    pace = _pace(model, pictures, 3, warm_up)
    pace = _pace(model, pictures, steps_in(task.settings.seconds, pace), warm_up)
    report.row(peer_row(task, _PEER, task.batch_size * pace))


def _pace(model: keras.Model, pictures: tf.data.Dataset, steps: int, warm_up: int) -> float:
    clock = _Clock(warm_up)
    model.fit(pictures, steps_per_epoch=warm_up + steps, callbacks=[clock], verbose=0)
    return clock.steps_per_second


def peer_row(task: Task, peer: str, rate: float, note: str = "") -> Row:
    """A row: training on our pipeline, if it was measured, against a peer's pictures/s."""
    ours = task.rate(task.pipeline_row)
    what, unit = task.pipeline_row, "pictures/s"
    if ours is None:
        return Row("peer", what, peer, unit, theirs=rate, note="ours was not measured")
    # The sizes for a processor are too small for a target.
    least = 1 if tf.config.list_physical_devices("GPU") else None
    return compare("peer", what, peer, unit, [ours], [rate], at_least=least, note=note)


if __name__ == "__main__":
    run_section(measure)
