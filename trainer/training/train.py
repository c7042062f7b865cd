"""Trains a network into a run's folder, and continues there exactly where it was stopped.

One epoch is one `model.fit` over a pipeline that is seeded by the epoch; validation follows it.
What a later step depends on is in the checkpoint: variables, running metrics, the place in the
epoch. Learning rate, best epoch and early stopping are functions of the step and of the history,
so they need no state of their own.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import math
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from trainer.data.dataset import CdiscountData, Split, damaged_shard
from trainer.data.decoding import resolve_decoder
from trainer.data.label_map import LabelMap
from trainer.models import networks as models
from trainer.models import optimizers
from trainer.models.losses import SparseCrossentropy
from trainer.models.metrics import FirstNonFiniteStep
from trainer.runs.checkpoint import (
    CheckpointStore,
    restore_variables,
    save_weights,
    training_variables,
)
from trainer.runs.event_log import EventLog
from trainer.runs.folder import RunFolder, RunFolderError, whole_file, write_json
from trainer.settings.config import Config, ConfigError
from trainer.terminal.command import Preempted
from trainer.terminal.progress import ProgressLine, duration
from trainer.training import devices
from trainer.training.feeds import FeatureFeed, PictureFeed, Splits

HISTORY_COLUMNS = (
    "epoch",
    "stage",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "val_product_accuracy",
    "val_top5_accuracy",
    "learning_rate",
    "pictures_per_second",
    "seconds",
)
_FINITE_CHECK_STEPS = 10  # reading the device's counter costs a synchronisation


class NonFiniteLossError(ValueError):
    """The loss, or a weight, became NaN or infinite."""


class OutOfMemoryError(ValueError):
    """A batch does not fit in the device's memory."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """Epochs [first, end) that train one part of the network with an optimizer of their own."""

    name: str
    first: int
    end: int
    learning_rate: float


def stages(config: Config) -> list[Stage]:
    """The stages of a run: one, or the new layers first and then the top blocks (`staged`)."""
    if config.trainable != "staged":
        return [Stage(config.trainable, 0, config.epochs, config.learning_rate)]
    head_end = min(config.head_epochs, config.epochs)
    head = Stage("head", 0, head_end, config.learning_rate)
    if head_end == config.epochs:
        return [head]
    return [
        head,
        Stage("top_blocks", head_end, config.epochs, config.fine_tune_learning_rate),
    ]


def train(config: Config, run_dir: str | os.PathLike[str], data: CdiscountData) -> RunFolder:
    """Trains to the end of `config`, or continues the run that `run_dir` holds.

    Args:
      config: resolved settings (`trainer.settings.resolve.resolve`).
      run_dir: folder of the run; a run already there must have the same settings, apart from those
        in `MAY_CHANGE_ON_RESUME`.
      data: the data set.

    Returns:
      The finished run's folder.

    Raises:
      ConfigError: if `run_dir` holds a run with other settings.
      RunFolderError: if `run_dir` holds a two-stage run, or other files.
      LabelMapError: if `run_dir` holds a run on other categories.
      DatasetError: if a record is damaged; the last checkpoint stays as it was.
      NonFiniteLossError: if the loss stops being finite; the last checkpoint stays as it was.
      OutOfMemoryError: if a batch does not fit on the device.
      CheckpointWriteError: if the disk is full; the checkpoint before stays as it was.
      Preempted: after SIGTERM, once a checkpoint is written.
    """
    if RunFolder(run_dir).level1_path.exists():
        raise RunFolderError(
            f"--run_dir must be a new folder, or a run of one network to continue. {run_dir} holds "
            "a two-stage run, which `python -m trainer.two_stage` continues."
        )
    run = open_run_folder(config, run_dir, data)
    config = run.config  # with the decoder that was chosen
    if run.state_path.exists() and _is_finished(run, config):
        return run
    try:
        _Training(config, run, data).run()
    except tf.errors.ResourceExhaustedError as error:
        raise OutOfMemoryError(
            f"A batch of {config.batch_size} pictures of {config.image_size} x "
            f"{config.image_size} does not fit in the device's memory with --model={config.model} "
            f"and --precision={config.precision}. Try --batch_size={max(1, config.batch_size // 2)}"
            " in a new --run_dir."
        ) from error
    return run


def _is_finished(run: RunFolder, config: Config) -> bool:
    state = run.state
    return state["finished"] and (
        state["entries"][0]["epoch"] >= config.epochs or state["entries"][0]["stopped_early"]
    )


def open_run_folder(
    config: Config, run_dir: str | os.PathLike[str], data: CdiscountData
) -> RunFolder:
    """Makes the run's folder, or checks that the one there may be continued with `config`.

    The folder's config names the decoder that is used, never `auto`.
    """
    run = RunFolder(run_dir)
    config = _with_decoder(config, run)
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    if run.config_path.exists() and run.label_map_path.exists():
        _check_same_run(run, config)
        run.require_categories(data.categories)
        run_config = config
    elif run.path.exists() and any(run.path.iterdir()) and not run.categories_path.exists():
        raise RunFolderError(
            f"--run_dir must be a new or empty folder, or a run to continue. Received: {run.path}, "
            "which holds other files."
        )
    else:
        run_config = config
        run.path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data.categories_path, run.categories_path)
    # label_map.json comes last: a folder without it was killed while it was made.
    with whole_file(run.config_path, "w", encoding="utf-8") as file:
        file.write(run_config.to_json())
    write_json(run.environment_path, _environment())
    write_json(
        run.label_map_path,
        {
            "target": config.target,
            "within_level1": config.within_level1,
            "num_classes": label_map.num_classes,
            "digest": label_map.digest,
        },
    )
    return run


def _with_decoder(config: Config, run: RunFolder) -> Config:
    """`config` with the decoder to use: for `auto` the run's own, which another machine may lack.

    Decoders' pixels differ by up to a level here and there, so a run never changes its decoder by
    itself. A user may: DALI refuses a file now and then that TensorFlow takes.
    """
    saved = run.config.decoder if run.config_path.exists() else "auto"
    decoder = resolve_decoder(saved if config.decoder == "auto" else config.decoder)
    if saved not in ("auto", decoder):
        logging.warning(
            "--decoder=%s goes on where %s decoded so far: pixels may differ by a level, so the "
            "result is not exactly that of an undisturbed run.",
            decoder,
            saved,
        )
    return dataclasses.replace(config, decoder=decoder)


def _check_same_run(run: RunFolder, config: Config) -> None:
    saved = run.config
    differences = saved.differences(config)
    if config.schedule != "constant" and saved.epochs != config.epochs:
        # The learning rate of a step depends on where the schedule ends.
        differences["epochs"] = (saved.epochs, config.epochs)
    if config.epochs < saved.epochs:
        differences["epochs"] = (saved.epochs, config.epochs)
    if differences:
        listed = "; ".join(
            f"--{name}: the run has {ours!r}, received {theirs!r}"
            for name, (ours, theirs) in differences.items()
        )
        raise ConfigError(
            f"A run can only be continued with the settings that it was started with. {run.path} "
            f"differs in {listed}. Give the run's own settings, or another --run_dir."
        )


def _environment() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
    }


class _Training:
    """One process's part of a run."""

    def __init__(self, config: Config, run: RunFolder, data: CdiscountData):
        self.config, self.run_folder = config, run
        self.label_map = LabelMap(data.categories, config.target, config.within_level1)
        self.splits = Splits(config, data, self.label_map)
        self.store = CheckpointStore(run)
        self.entry = self.store.newest_intact() or _fresh_entry()
        self.events = EventLog(run.tensorboard, self.entry["events"])
        self.strategy = devices.choose_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
        with self.strategy.scope():
            self.model = models.build_model(
                config.model,
                self.label_map.num_classes,
                image_size=config.image_size,
                input_range=config.input_range,
                weights="none" if self.entry["training_state"] else config.weights,
                dropout=config.dropout,
                seed=config.seed,
            )
        self.feed: PictureFeed | FeatureFeed = self._pictures()  # until a stage begins
        self.last_checkpoint = time.monotonic()

    def _pictures(self) -> PictureFeed:
        return PictureFeed(self.model, self.splits, self.label_map, self.config)

    def run(self) -> None:
        resuming = self.entry["training_state"] is not None
        if resuming:
            print(
                f"Continuing {self.run_folder.path} at epoch {self.entry['epoch'] + 1}, step "
                f"{self.entry['step']}.",
                file=sys.stderr,
            )
        else:
            self._describe()
        all_stages = stages(self.config)
        with _sigterm_as_flag() as stop:
            for index in range(self.entry["stage"], len(all_stages)):
                self._compile(all_stages[index])
                if resuming:
                    self._restore()
                    resuming = False
                self.entry.update(stage=index, finished=False)
                for epoch in range(self.entry["epoch"], all_stages[index].end):
                    # Before an epoch, not behind it: a kill between the last epoch's checkpoint
                    # and the run's end must not add an epoch.
                    if self._stop_early():
                        break
                    self._epoch(epoch, all_stages[index], stop)
                if self._stop_early():
                    self.entry["stopped_early"] = True
                    break
            self.entry["finished"] = True
            self._commit()
        self.events.close()

    # Preparing a stage.

    def _compile(self, stage: Stage) -> None:
        config = self.config
        with self.strategy.scope():
            models.set_trainable(self.model, stage.name)
            self.feed = self._features() if self._cached(stage) else self._pictures()
            fitted = self.feed.model
            optimizer = optimizers.build_optimizer(
                config.optimizer,
                learning_rate=stage.learning_rate,
                schedule=config.schedule,
                total_steps=sum(
                    self.splits.steps(epoch) for epoch in range(stage.first, stage.end)
                ),
                warmup_steps=round(config.warmup_epochs * self.splits.steps(stage.first)),
                weight_decay=config.weight_decay,
                ema_momentum=config.ema_momentum,
                policy=config.precision,
            )
            # `fit` would put the averaged weights in place of the trained ones after each epoch.
            optimizer.finalize_variable_values = lambda variables: None
            fitted.compile(
                optimizer=optimizer,
                loss=SparseCrossentropy(label_smoothing=config.label_smoothing),
                metrics=[FirstNonFiniteStep(name="first_nonfinite_step")],
                # Only several devices have weights, see `even_batches`.
                weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            )
            # Variables that Keras would make at the first batch must exist to be restored.
            optimizer.build(fitted.trainable_variables)
            fitted.compute_metrics(
                None,
                y=tf.zeros([1], tf.int32),
                y_pred=tf.zeros([1, self.label_map.num_classes]),
                sample_weight=None,
            )
            fitted.reset_metrics()

    def _cached(self, stage: Stage) -> bool:
        """Whether the stage trains on cached features."""
        return stage.name == "head" and self.config.cache_features

    def _features(self) -> FeatureFeed:
        folder = self.config.features_dir or self.run_folder.path.parent / ".features"
        return FeatureFeed(self.model, self.splits, self.label_map, self.config, folder)

    def _restore(self) -> None:
        path = self.run_folder.checkpoints / self.entry["training_state"]["file"]
        restore_variables(path, self._variables())

    def _variables(self) -> list:
        return training_variables(self.model, self.feed.model)

    def _describe(self) -> None:
        """What is about to be trained: one sentence on the terminal, details in TensorBoard."""
        config, splits = self.config, self.splits
        train, validation = splits.pair(0)
        print(
            f"Training {config.model} ({self.model.count_params():,} parameters, "
            f"{self.label_map.num_classes:,} classes, {config.precision}) with {config.optimizer} "
            f"on {self._products(train):,} products ({splits.pictures(0):,} pictures), validating "
            f"on {self._products(validation):,}. Run folder: {self.run_folder.path}",
            file=sys.stderr,
        )
        self.events.hparams(config)
        batch, _ = next(iter(self._pictures().train_batches(0).take(1)))
        self.events.pictures("input pictures", batch.numpy())

    def _products(self, split: Split) -> int:
        """Products of a split that have one of the run's classes."""
        return int((self.label_map.classes_of(split.index.category) >= 0).sum())

    # One epoch.

    def _epoch(self, epoch: int, stage: Stage, stop: _Flag) -> None:
        steps, skip = self.splits.steps(epoch), self.entry["step"]
        try:
            self.feed.prepare(epoch, stop.check)
        except _StopAsked:
            self.preempt(epoch, skip, 0.0)
        started = time.monotonic()
        hooks = _StepHooks(self, epoch, skip, steps, stop)
        if skip < steps:
            try:
                self.feed.model.fit(
                    devices.even_batches(self.feed.train_batches(epoch, skip), self.replicas),
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    steps_per_epoch=steps - skip,
                    callbacks=[hooks],
                    shuffle=False,
                    verbose=0,
                )
            except tf.errors.DataLossError as error:
                raise damaged_shard(self.splits.pair(epoch)[0], error) from error
        logs = self.feed.model.get_metrics_result()
        self._check_finite(epoch, steps, logs)
        hooks.close()
        self.entry["step"] = steps
        if self._checkpoint_due():
            self._check_weights(epoch, steps)
            self._commit(self._variables())  # validation may take long
        trained = time.monotonic()
        try:
            validation = self._validate(epoch, stop)
        except _StopAsked:
            self.preempt(epoch, steps, trained - started)
        row = {
            "epoch": epoch,
            "stage": stage.name,
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            **validation,
            "learning_rate": _learning_rate(self.feed.model),
            "pictures_per_second": hooks.pictures / max(trained - started, 1e-9),
            "seconds": time.monotonic() - started + self.entry["seconds_before"],
        }
        self._finish_epoch(epoch, row)

    def _validate(self, epoch: int, stop: _Flag) -> dict[str, float]:
        with averaged_weights(self.feed.model):
            result = self.feed.evaluate(epoch, stop.check)
        return {
            "val_loss": result["loss"],
            "val_accuracy": result["accuracy"],
            "val_product_accuracy": result["product_accuracy"],
            "val_top5_accuracy": result["top5_accuracy"],
        }

    def _finish_epoch(self, epoch: int, row: dict[str, Any]) -> None:
        """Takes the epoch into the history, keeps its weights, and commits both."""
        history = [*self.entry["history"], row]
        print(_epoch_line(row, self.config.epochs), file=sys.stderr)
        with averaged_weights(self.feed.model), self.store.clear_write_errors():
            weights = save_weights(self.model, self.store.weights_path(epoch))
        last = {"epoch": epoch, "val_loss": row["val_loss"], **weights}
        best = self.entry["best"]
        if best is None or row["val_loss"] < best["val_loss"]:
            best = last
        if epoch == 0:  # not before: tracing a deep network takes seconds
            self.events.graph(self.feed.graph())
        curves = {name: row[name] for name in ("loss", "accuracy")}
        self.events.scalars(
            "train",
            {f"epoch_{name}": value for name, value in curves.items()}
            | {"epoch_learning_rate": row["learning_rate"]},
            epoch,
        )
        self.events.scalars(
            "validation",
            {
                f"epoch_{name.removeprefix('val_')}": value
                for name, value in row.items()
                if name.startswith("val_")
            },
            epoch,
        )
        self.entry.update(
            epoch=epoch + 1, step=0, history=history, best=best, last=last, window=_fresh_window()
        )
        self.entry["global_step"] += self.splits.steps(epoch)
        self.entry["seconds_before"] = 0.0
        self._commit(self._variables())

    def _stop_early(self) -> bool:
        patience, best = self.config.early_stopping, self.entry["best"]
        return bool(patience and best) and self.entry["epoch"] - 1 - best["epoch"] >= patience

    # Checkpoints.

    def checkpoint(self, epoch: int, step: int, seconds: float) -> None:
        """Commits the state after `step` steps of `epoch`."""
        self.check_finite_now(epoch, step)
        self._check_weights(epoch, step)
        before = self.entry["seconds_before"]
        self.entry.update(epoch=epoch, step=step, seconds_before=before + seconds)
        self._commit(self._variables())
        self.entry["seconds_before"] = before

    def preempt(self, epoch: int, step: int, seconds: float) -> NoReturn:
        """Commits the state after `step` steps of `epoch`, and says that training stopped."""
        self.checkpoint(epoch, step, seconds)
        raise Preempted(
            f"Stopped as asked at epoch {epoch + 1}, step {step}; the checkpoint in "
            f"{self.run_folder.path} is complete. The same command continues it."
        )

    def checkpoint_due(self, step: int) -> bool:
        every = self.config.checkpoint_steps
        return (step % every == 0) if every else self._checkpoint_due()

    def _checkpoint_due(self) -> bool:
        minutes = self.config.checkpoint_minutes
        return not self.config.checkpoint_steps and (
            time.monotonic() - self.last_checkpoint > 60 * minutes
        )

    def _commit(self, variables: Sequence | None = None) -> None:
        with self.store.clear_write_errors():
            entry = dict(self.entry, events=self.events.commit())
            self.entry = dict(self.store.commit(entry, variables))
            _write_history(self.run_folder, self.entry["history"])
        if variables is not None:
            devices.share_sums(self.feed.model.metrics_variables, self.replicas)
        self.last_checkpoint = time.monotonic()

    def _check_finite(self, epoch: int, steps: int, logs: dict[str, Any]) -> None:
        """Looks at the running metrics after `steps` steps of `epoch`."""
        step = int(logs["first_nonfinite_step"])
        if step >= 0 or not math.isfinite(float(logs["loss"])):
            raise self._not_finite("loss", epoch, step if step >= 0 else steps - 1)

    def _check_weights(self, epoch: int, steps: int) -> None:
        """A step's outputs are of the weights before it; its update may have spoilt them."""
        for variable in self.feed.model.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                raise self._not_finite(f"weights {variable.path}", epoch, steps - 1)

    def _not_finite(self, what: str, epoch: int, step: int) -> NonFiniteLossError:
        return NonFiniteLossError(
            f"The {what} must stay finite. NaN or infinity came up in epoch {epoch + 1}, step "
            f"{step + 1}; {self.run_folder.path} keeps the last good checkpoint. Try a smaller "
            f"--learning_rate (now {self.config.learning_rate:g}) or --precision=float32 in a new "
            "--run_dir."
        )

    def check_finite_now(self, epoch: int, steps: int) -> None:
        self._check_finite(epoch, steps, self.feed.model.get_metrics_result())


class _StepHooks(keras.callbacks.Callback):
    """What happens between steps: progress, curves, checkpoints, a look at the loss.

    It all hangs on `on_train_batch_begin`, which Keras calls without logs: `on_train_batch_end`
    would fetch the metrics from the device, and so wait for it, at every step.
    """

    def __init__(self, training: _Training, epoch: int, skip: int, steps: int, stop: _Flag):
        super().__init__()
        self._training, self._epoch, self._skip, self._stop = training, epoch, skip, stop
        config = training.config
        self._log_every = config.log_every_steps
        self._batch_size = config.batch_size
        self._total = training.splits.pictures(epoch)
        self._started = time.monotonic()
        self._metrics = [variable.numpy() for variable in training.feed.model.metrics_variables]
        self._line = ProgressLine(
            f"epoch {epoch + 1}/{config.epochs}", self._total, "pictures", self._seen(skip)
        )
        self._profiling = False
        self._steps = steps

    @property
    def pictures(self) -> int:
        """Pictures that this process trained on in this epoch."""
        return self._total - self._seen(self._skip)

    def close(self) -> None:
        self._line.close()

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        if self._skip:  # `fit` has just reset them
            for variable, value in zip(self.model.metrics_variables, self._metrics, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch: int, logs=None) -> None:
        step, training = self._skip + batch, self._training
        self._profile(step)
        if batch == 0:
            return
        if step % _FINITE_CHECK_STEPS == 0:
            training.check_finite_now(self._epoch, step)
        if self._line.due():
            values = self.model.get_metrics_result()
            self._line.update(
                self._seen(step), f"loss {values['loss']:.3f}  accuracy {values['accuracy']:.3f}"
            )
        if step % self._log_every == 0:
            self._log_scalars(step)
        if self._stop.raised:
            self._line.close()
            training.preempt(self._epoch, step, time.monotonic() - self._started)
        if training.checkpoint_due(step):
            training.checkpoint(self._epoch, step, time.monotonic() - self._started)

    def _seen(self, step: int) -> int:
        return min(step * self._batch_size, self._total)

    def _log_scalars(self, step: int) -> None:
        """Means since the last point: Keras's running metrics are means since the epoch began."""
        values = self.model.get_metrics_result()
        entry = self._training.entry
        before = entry["window"]
        seen = self._seen(step)
        point = {}
        for name in ("loss", "accuracy"):
            total = float(values[name]) * seen
            point[name] = (total - before[name]) / (seen - before["pictures"])
            before = dict(before, **{name: total})
        entry["window"] = dict(before, pictures=seen)
        point["learning_rate"] = _learning_rate(self.model)
        self._training.events.scalars("train", point, entry["global_step"] + step)

    def _profile(self, step: int) -> None:
        """Profiles `profile_steps` steps of the first epoch, after ten that warm up."""
        count = self._training.config.profile_steps
        if not count or self._epoch:
            return
        if step == min(10, self._steps // 2) and not self._profiling:
            tf.profiler.experimental.start(str(self._training.run_folder.tensorboard))
            self._profiling = True
        elif self._profiling and step >= min(10, self._steps // 2) + count:
            self._end_profile()

    def _end_profile(self) -> None:
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling = False

    def on_train_end(self, logs=None) -> None:
        self._end_profile()


class _StopAsked(Exception):
    """SIGTERM came during validation, which can be left between two batches."""


@dataclasses.dataclass
class _Flag:
    raised: bool = False

    def check(self) -> None:
        if self.raised:
            raise _StopAsked


@contextlib.contextmanager
def _sigterm_as_flag() -> Iterator[_Flag]:
    """SIGTERM sets the flag; the step in progress is finished and a checkpoint written.

    A signal that came too late for this network (in its last moments) is given on to who asked
    for signals before: there may be another network to train.
    """
    flag = _Flag()

    def handle(signum, frame):
        flag.raised = True

    try:
        before = signal.signal(signal.SIGTERM, handle)
    except ValueError:  # not the main thread: a program that embeds us handles its own signals
        yield flag
        return
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)
    if flag.raised:
        signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Within the block, the model has the optimizer's moving averages, if it keeps any."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    averages = getattr(optimizer, "_model_variables_moving_average", None)
    if not optimizer.use_ema or not averages:
        yield
        return
    trained = [variable.numpy() for variable in model.trainable_variables]
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, trained, strict=True):
            variable.assign(value)


def _learning_rate(model: keras.Model) -> float:
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _fresh_window() -> dict[str, float]:
    return {"pictures": 0, "loss": 0.0, "accuracy": 0.0}


def _fresh_entry() -> dict[str, Any]:
    return {
        "finished": False,
        "stopped_early": False,
        "stage": 0,
        "epoch": 0,
        "step": 0,
        "global_step": 0,
        "seconds_before": 0.0,
        "training_state": None,
        "best": None,
        "last": None,
        "history": [],
        "window": _fresh_window(),
        "events": {},
    }


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    return (
        f"epoch {row['epoch'] + 1}/{epochs}  {duration(row['seconds'])}  "
        f"{row['pictures_per_second']:,.0f} pictures/s  loss {row['loss']:.4f}  "
        f"accuracy {row['accuracy']:.4f}  validation: loss {row['val_loss']:.4f}  "
        f"accuracy {row['val_accuracy']:.4f} by picture, {row['val_product_accuracy']:.4f} by "
        "product"
    )


def _write_history(run: RunFolder, history: list[dict[str, Any]]) -> None:
    write_json(run.history_json, history)
    text = io.StringIO()
    writer = csv.DictWriter(text, HISTORY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    with whole_file(run.history_csv, "w", encoding="utf-8") as file:
        file.write(text.getvalue())
