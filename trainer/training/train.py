"""Trains a network in a run's folder, and continues exactly where training stopped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import tensorflow as tf

from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.state import Checkpoint
from trainer.settings.config import Config
from trainer.training.admission import (
    open_run_folder,
    require_known_averages,
    sole_writer,
)
from trainer.training.alike import facts_of, folder_digest, problem_of_folder
from trainer.training.execution import arithmetic
from trainer.training.hooks import Hook
from trainer.training.training import Training, stops_early


class OutOfMemoryError(ValueError):
    """A batch does not fit in the device's memory."""


class NotDeterministicError(ValueError):
    """The device has no operation that gives the same bits every time."""


def train(
    config: Config,
    run_dir: str | os.PathLike[str],
    data: CdiscountData,
    hooks: Sequence[Hook] = (),
    workers: Workers = ALONE,
) -> RunFolder:
    """Trains to the end of `config`, or continues the run that `run_dir` holds.

    Args:
      config: resolved settings (`trainer.settings.resolve`).
      run_dir: folder of the run; a run already there must have the same settings, apart from those
        that may change on resume.
      data: the data set.
      hooks: called before each step, ahead of the project's own.
      workers: this worker among those that train together.

    Returns:
      The finished run's folder.

    Raises:
      ConfigError: if `run_dir` holds a run with other settings.
      RunFolderError: if `run_dir` holds another kind of run or other files, or another process
        trains in it.
      LabelMapError: if `run_dir` holds a run on other categories.
      DatasetError: if `run_dir` holds a run on other products, or a record is damaged; the last
        checkpoint stays as it was.
      NonFiniteLossError: if the loss or a weight is no longer finite; the last checkpoint stays as
        it was.
      OutOfMemoryError: if a batch does not fit on the device.
      NotDeterministicError: if a GPU cannot train this network deterministically.
      CheckpointWriteError: if the disk is full; the previous checkpoint stays as it was.
      Preempted: after a signal, once a checkpoint is written.
      WorkersError: if the workers differ, or the chief cannot train.
      WorkerLost: if another worker has ended; the last checkpoint stays as it was.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(workers.clear_errors())
        run = _opened(config, RunFolder(run_dir), data, workers, stack)
        config = run.config  # with the decoder that was chosen
        if run.has_state and _is_finished(run.state.newest, config):
            return run
        require_known_averages(run, config)
        try:
            with arithmetic(config):
                Training(config, run, data, hooks, workers).run()
        except tf.errors.OpError as error:
            if _is_out_of_memory(error):
                raise _out_of_memory(config) from error
            if isinstance(error, tf.errors.UnimplementedError) and "determinis" in str(error):
                raise _not_deterministic(config, str(error)) from error
            raise
    return run


def _opened(
    config: Config,
    run: RunFolder,
    data: CdiscountData,
    workers: Workers,
    stack: contextlib.ExitStack,
) -> RunFolder:
    """The run's folder, which the chief of the workers has opened, and keeps to itself."""
    if workers.several:
        workers.require_alike(facts_of(config))

    def open_it() -> str:
        _require_same_kind(run, config)
        stack.enter_context(sole_writer(run))
        open_run_folder(config, run.path, data)
        return folder_digest(run)

    digest = workers.from_chief(open_it)
    if workers.several:
        workers.require_no_problem("" if workers.is_chief else problem_of_folder(run, digest))
    return run


def _not_deterministic(config: Config, text: str) -> NotDeterministicError:
    [reason, *_] = [line.strip() for line in text.splitlines() if "determinis" in line]
    advice = "Add --xla=off or --nodeterministic" if config.xla == "on" else "Add --nodeterministic"
    return NotDeterministicError(
        "With --deterministic, every operation must give the same bits each time. Received from "
        f"TensorFlow, for --model={config.model} and --xla={config.xla}: {reason} {advice} (a run "
        "that was stopped then ends a little differently)."
    )


def _is_out_of_memory(error: tf.errors.OpError) -> bool:
    """Whether a device ran out of memory; CUDA's libraries and XLA say so in the text alone."""
    text = str(error).lower()
    return isinstance(error, tf.errors.ResourceExhaustedError) or any(
        words in text
        for words in ("out of memory", "out_of_memory", "resource_exhausted", "failed to allocate")
    )


def _out_of_memory(config: Config) -> OutOfMemoryError:
    """The error that says what was asked of the device, and what asks for less."""
    size, half = config.image_size, max(1, config.batch_size // 2)
    advice = [f"--micro_batch={half} (the same batch in parts)", f"--batch_size={half}"]
    if config.micro_batch:
        advice[0] = f"--micro_batch={max(1, config.micro_batch // 2)}"
    if config.batch_size == 1:
        advice = []
    advice.append("a smaller --image_size")
    if config.precision == "float32":
        advice.append("a 16-bit --precision (mixed_bfloat16)")
    validation = config.eval_batch_size
    return OutOfMemoryError(
        "A batch must fit in the device's memory, with what the network keeps of it for the "
        f"gradients. Received: {config.batch_size} pictures of {size} x {size} with --model="
        f"{config.model} and --precision={config.precision}. Try {', '.join(advice[:-1])}"
        f"{' or ' if advice[:-1] else ''}{advice[-1]} in a new --run_dir. If it was the "
        f"validation, after an epoch's last step: --eval_batch_size below {validation}, in the "
        "same --run_dir."
    )


def _require_same_kind(run: RunFolder, config: Config) -> None:
    """Raises RunFolderError if the folder holds a run that another command trains."""
    if run.level1_path.exists():
        raise RunFolderError(
            "--run_dir must be a new folder, or a run of one network to continue. "
            f"{run.path} holds a two-stage run, which `python -m trainer.two_stage` continues."
        )
    begun = run.begun
    if begun is not None and (begun.fusion is None) != (config.fusion is None):
        kind, command = (
            ("run of one network", "main") if begun.fusion is None else ("fused run", "fuse")
        )
        raise RunFolderError(
            f"--run_dir must be a new folder, or a run to continue. {run.path} holds a {kind}, "
            f"which `python -m trainer.{command}` continues."
        )


def _is_finished(newest: Checkpoint, config: Config) -> bool:
    enough = newest.position.epoch >= config.epochs or stops_early(config, newest)
    return newest.finished and enough
