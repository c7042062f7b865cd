"""The section of one network: its training, as the trainer does it, against one batch in memory.

It measures within the first epoch of a real training, with the pipeline and all hooks, and ends the
training after that: validation and checkpoints are not part of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
import tempfile
import time

import tensorflow as tf

from benchmarks.gpu_check.flops import training_flops
from benchmarks.gpu_check.gpu_trace import GpuTrace, read_trace
from benchmarks.gpu_check.peaks import peak_tflops
from benchmarks.gpu_check.task import Report, Task, run_section
from benchmarks.table import Row, compare
from benchmarks.training import Epoch, Pace, steps_in, train_with, training_config, training_data
from trainer.data.decoding import OnDevice
from trainer.runs.state import CurveWindow
from trainer.training.hooks import Curves, Hook, Place

PIPELINE_TARGET = 0.97
IDLE_TARGET = 0.1
_WARM_UP = 20
_TRACED_STEPS = 100
_GPU = "GPU:0"


class _Measured(Exception):
    """Ends the training once everything is measured."""


def measure(task: Task, report: Report) -> None:
    """Rows: time to the first step, rate, peak memory, idle share, share of the card's peak."""
    settings = task.settings
    data = training_data(settings)
    config = training_config(settings, data, task.network, epochs=1, **task.trainer_settings)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Measured):
        train_with(config, data, pathlib.Path(folder) / "run", _EpochMeasurement(task, report))


class _EpochMeasurement:
    """Measures with the first epoch of a training, then ends it.

    Args:
      task: what to measure.
      report: receives the rows.
    """

    def __init__(self, task: Task, report: Report):
        self._task, self._report = task, report
        self._warm_up = _WARM_UP if _has_gpu() else 2
        self._real: list[Pace] = []
        self._memory: list[Pace] = []

    def __call__(self, epoch: Epoch) -> None:
        _run(epoch, 1)
        self._row("time to the first step", "s", time.time() - self._task.began)
        self._take_turns(epoch)
        where = "the GPU" if isinstance(epoch.batches, OnDevice) else "the processor"
        note = f"decoded on {where}, up to {epoch.step.steps_per_call} steps per call"
        self._report.row(dataclasses.replace(self._rates(), note=note))
        if _has_gpu():
            peak = tf.config.experimental.get_memory_info(_GPU)["peak"]
            self._row("peak GPU memory", "GB", peak / 1e9)
        trace = _traced(epoch, self._warm_up)
        self._report.row(self._idle(trace))
        if _has_gpu():
            self._report.row(self._share_of_peak(epoch))
        raise _Measured

    def _take_turns(self, epoch: Epoch) -> None:
        in_memory = epoch.in_memory()
        pace = in_memory.timed(3, self._warm_up)
        # The last step may have fewer pictures: a new shape, for which XLA would compile again.
        most = epoch.steps_left - self._warm_up - 1
        steps = min(most, steps_in(self._task.settings.seconds, pace.steps_per_second))
        turns = [(in_memory, self._memory), (epoch, self._real)]
        for turn in range(self._task.settings.repeats):
            for what, paces in reversed(turns) if turn % 2 else turns:
                _begin_curves(epoch)
                paces.append(what.timed(steps, self._warm_up))

    def _rates(self) -> Row:
        """Pictures/s on the pipeline against one batch in memory."""
        return compare(
            "network",
            self._task.pipeline_row,
            "one batch in memory",
            "pictures/s",
            *(
                [self._task.batch_size * pace.steps_per_second for pace in paces]
                for paces in (self._real, self._memory)
            ),
            # Without a GPU the same cores decode and train; benchmarks/steps.py measures that.
            at_least=PIPELINE_TARGET if _has_gpu() else None,
        )

    def _idle(self, trace: GpuTrace | None) -> Row:
        """The share of the time without a kernel on the GPU."""
        rates = self._rates()
        assert rates.ratio is not None
        if trace is None:
            share = max(0.0, 1 - rates.ratio)
            reason = "the trace shows no GPU" if _has_gpu() else "there is no GPU"
            note = f"1 - rate on the pipeline / rate in memory, because {reason}"
        else:
            share = trace.idle_share
            note = (
                f"from a trace of {trace.seconds:.3f} s with {trace.kernels:,} kernels, "
                f"{trace.copies_to_device:,} copies to the GPU and {trace.copies_to_host:,} back"
            )
        return Row(
            "idle",
            f"{self._task.label}: share of the time without a kernel",
            unit="share",
            ours=share,
            at_most=IDLE_TARGET if _has_gpu() else None,
            note=note,
        )

    def _share_of_peak(self, epoch: Epoch) -> Row:
        """Achieved operations per second as a share of the card's highest rate."""
        rate = self._rates().ours
        assert rate is not None
        achieved = rate * training_flops(epoch.step.model) / 1e12
        name = _card()
        peak = peak_tflops(name)
        what = f"{self._task.label}: share of the card's 16-bit peak"
        counted = f"{achieved:.2f} TFLOP/s in convolutions and dense layers, backwards as twice"
        if peak is None:
            note = f"not measured: the peak of {name!r} is not in gpu_check/peaks.py; {counted}"
            return Row("peak", what, note=note)
        note = f"{counted}, of {peak:.0f} (NVIDIA's datasheet, dense)"
        return Row("peak", what, unit="share", ours=achieved / peak, note=note)

    def _row(self, what: str, unit: str, value: float) -> None:
        self._report.row(Row("network", f"{self._task.label}: {what}", unit=unit, ours=value))


def _run(epoch: Epoch, steps: int) -> None:
    """Takes some steps and waits until they are done."""
    _begin_curves(epoch)
    epoch.step.metrics.reset()
    epoch.run(steps)
    epoch.step.metrics.values()


class _Trace(Hook):
    """Traces an epoch from a step on until it ends.

    `trainer.training.hooks.Profile` would have the host take each step by itself.
    """

    def __init__(self, epoch: Epoch, folder: str, begin: int):
        self._epoch, self._folder, self._begin = epoch, folder, begin
        self._running = False

    def before_step(self, place: Place) -> None:
        if place.step - place.first == self._begin:
            tf.profiler.experimental.start(self._folder)
            self._running = True

    def steps_until_due(self, place: Place) -> int:
        left = self._begin - (place.step - place.first)
        return left if left > 0 else sys.maxsize

    def close(self) -> None:
        if self._running:
            self._epoch.step.metrics.values()  # waits for the device
            self._running = False
            tf.profiler.experimental.stop()


def _traced(epoch: Epoch, warm_up: int) -> GpuTrace | None:
    """The GPU's work in some steps on the pipeline; None if the trace shows no GPU."""
    with tempfile.TemporaryDirectory() as folder:
        traced_steps = _TRACED_STEPS if _has_gpu() else 2
        steps = min(warm_up + traced_steps, epoch.steps_left - 1)
        trace = _Trace(epoch, folder, min(warm_up, steps - 1))
        _run(epoch.with_hooks(*epoch.hooks, trace), steps)
        return read_trace(folder)


def _begin_curves(epoch: Epoch) -> None:
    """The epoch begins again: curves draw differences to their last point."""
    for hook in epoch.hooks:
        if isinstance(hook, Curves):
            hook.window = CurveWindow()


def _card() -> str:
    """Name of the first GPU."""
    gpu, *_ = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpu).get("device_name", "")


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


if __name__ == "__main__":
    run_section(measure)
