"""Trains a run from its current position to its end: stages, epochs, validation, checkpoints.

An epoch consists of a pipeline seeded by the epoch, the steps over it, and a validation. The
checkpoint holds everything that later steps depend on: variables, running metrics, the position in
the epoch. Learning rate, best epoch and early stopping follow from the step and the history, and
need no state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import keras

from cdisc_tfds.progress_line import ProgressLine
from cdisc_tfds.storage import path_of
from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData
from trainer.data.label_map import LabelMap
from trainer.data.record_reading import clear_record_errors
from trainer.runs.checkpoint import copies_of, restore_variables
from trainer.runs.folder import RunFolder
from trainer.runs.state import Checkpoint, CheckpointFile, EpochRow, Position, WeightsFile
from trainer.settings.config import Config
from trainer.terminal.command import Preempted
from trainer.terminal.signals import StopAsked, StopFlag, stop_signals
from trainer.training import devices, hooks
from trainer.training.admission import require_same_data, require_same_machines
from trainer.training.agreement import AgreedClock, AgreedLine, AgreedStop, Agreement
from trainer.training.alike import facts_of_data
from trainer.training.epoch_splits import EpochSplits
from trainer.training.feeds import FeatureFeed, PictureFeed
from trainer.training.finite_guard import FiniteGuard
from trainer.training.fusion_feed import FusionFeed
from trainer.training.loop import EpochPlan, run_steps
from trainer.training.recalibration import recalibrated
from trainer.training.run_records import Records, open_records
from trainer.training.stages import Stage, stages
from trainer.training.step import TrainStep
from trainer.training.trained_network import TrainedNetwork
from trainer.training.validating import validated


def stops_early(config: Config, checkpoint: Checkpoint) -> bool:
    """Whether the validation loss has not improved for `early_stopping` epochs."""
    patience, best = config.early_stopping, checkpoint.best
    if not patience or best is None:
        return False
    return checkpoint.position.epoch - 1 - best.epoch >= patience


class Training:
    """The part of a run that one process trains.

    Args:
      config: resolved settings.
      run: the run's folder; this process alone, or the chief of the workers, writes to it.
      data: the data set.
      extra_hooks: called before the project's own hooks.
      workers: this worker among those that train together.

    Raises:
      DatasetError: if the run started on other data.
      Also the errors of `EpochSplits` and `build_model`.
    """

    def __init__(
        self,
        config: Config,
        run: RunFolder,
        data: CdiscountData,
        extra_hooks: Sequence[hooks.Hook] = (),
        workers: Workers = ALONE,
    ):
        self._config, self._run, self._extra_hooks = config, run, extra_hooks
        self._workers = workers
        self._label_map = LabelMap(data.categories, config.target, config.within_level1)
        self._splits = EpochSplits(config, data, self._label_map)
        identity = self._splits.identity()
        workers.require_alike(facts_of_data(identity))
        require_same_data(run, identity)
        self._records: Records = open_records(run, config, identity, self._splits.unit, workers)
        self._checkpoint = self._records.newest
        require_same_machines(run, config, self._checkpoint, workers.this.count)
        self._strategy = workers.strategy or devices.choose_strategy()
        self._network = TrainedNetwork(
            config,
            self._label_map,
            self._splits,
            self._strategy,
            pretrained=self._checkpoint.training_state is None,
        )
        self._model = self._network.model
        self._clock = hooks.CheckpointClock(config.checkpoint_minutes, config.checkpoint_steps)
        # Per stage; set by `_prepare_stage`.
        self._feed: PictureFeed | FeatureFeed | FusionFeed = self._whole_network()
        self._step: TrainStep
        self._guard: FiniteGuard
        # Per epoch.
        self._curves: hooks.Curves
        self._epoch_began = time.monotonic()

    def run(self) -> None:
        """Trains to the end.

        Raises:
          Preempted: after a signal, once a checkpoint is written.
          NonFiniteLossError: if the loss or a weight is no longer finite; the last checkpoint
            stays.
          CheckpointWriteError: if the disk is full; the previous checkpoint stays.
          RunFolderError: if another process has continued the run.
        """
        resuming = self._checkpoint.training_state is not None
        if resuming:
            self._records.resume()
        elif self._workers.is_chief:
            self._describe()
        all_stages = stages(self._config)
        with stop_signals() as stop, self._records:
            for number in range(self._checkpoint.position.stage, len(all_stages)):
                self._prepare_stage(all_stages[number])
                if resuming:
                    self._restore()
                    resuming = False
                self._move(stage=number)
                self._update(finished=False, stopped_early=False)
                for epoch in range(self._checkpoint.position.epoch, all_stages[number].end):
                    # Checked before an epoch, not after it: a process killed between the last
                    # epoch's checkpoint and the end of the run must not train another epoch.
                    if stops_early(self._config, self._checkpoint):
                        break
                    self._train_epoch(epoch, all_stages[number], stop)
                if stops_early(self._config, self._checkpoint):
                    self._update(stopped_early=True)
                    break
            self._update(finished=True)
            self._commit(with_variables=False)
            self._await_commit()
        self._records.close()

    # Preparing a stage.

    def _prepare_stage(self, stage: Stage) -> None:
        config = self._config
        self._network.choose(stage)
        # The cache holds each picture once.
        cached = stage.name == "head" and config.cache_features and not self._splits.selects
        with self._strategy.scope():
            self._feed = self._features() if cached else self._whole_network()
        self._step = self._network.step(stage, self._feed.model, self._feed.prepare_batch)
        self._guard = FiniteGuard(self._step, self._run.path, config.learning_rate)

    def _whole_network(self) -> PictureFeed | FusionFeed:
        parts = self._model, self._splits, self._label_map, self._config
        if self._config.fusion is None:
            return PictureFeed(*parts, self._workers)
        return FusionFeed(*parts, self._run, self._features_dir, self._workers)

    def _features(self) -> FeatureFeed:
        parts = self._model, self._splits, self._label_map, self._config
        return FeatureFeed(*parts, self._features_dir, self._workers)

    @property
    def _features_dir(self) -> pathlib.Path:
        return path_of(self._config.features_dir or self._run.path.parent / ".features")

    def _restore(self) -> None:
        state = self._checkpoint.training_state
        if state is not None:
            restore_variables(self._run.checkpoints / state.file, self._variables())

    def _variables(self) -> list[keras.Variable]:
        pseudo_labels = self._splits.pseudo_labels
        own = [] if pseudo_labels is None else [pseudo_labels.variable]
        return [*self._step.variables(self._model), *own]

    def _describe(self) -> None:
        """Prints what is about to be trained, and logs its settings and pictures to TensorBoard."""
        train, validation = self._splits.pair(0)
        self._records.begin(self._model.count_params(), train, validation)
        if isinstance(self._feed, PictureFeed):
            with clear_record_errors(train.split):
                pictures, *_ = next(iter(self._feed.train_batches(0, ready=True).take(1)))
            self._records.pictures(pictures.numpy())

    # One epoch.

    def _train_epoch(self, epoch: int, stage: Stage, stop: StopFlag) -> None:
        self._epoch_began = time.monotonic()
        try:
            self._label_products(epoch, stop)
        except StopAsked:  # the end of the epoch before is the last checkpoint
            raise self._stopped(self._plan(epoch).place(0)) from None
        plan = self._plan(epoch)
        self._epoch_began = time.monotonic()
        epoch_hooks = self._hooks(plan, stop)
        try:
            self._feed.prepare(epoch, stop.check)
        except StopAsked:
            self._epoch_began = time.monotonic()  # the epoch's time does not include preparation
            self._preempt(plan.place(plan.first))
        self._epoch_began = time.monotonic()
        if plan.first == 0:
            self._step.metrics.reset()
        batches = self._feed.train_batches(epoch, plan.first)
        own_devices = self._strategy.num_replicas_in_sync // self._workers.this.count
        with clear_record_errors(self._splits.pair(epoch)[0].split):
            run_steps(self._step, devices.even_batches(batches, own_devices), plan, epoch_hooks)
        end = plan.place(plan.steps)
        self._guard.check_loss(end)
        if self._workers.of_chief(self._clock.minutes_are_over()):
            self._save(end)  # validation may take long
        seconds = time.monotonic() - self._epoch_began
        pictures = end.pictures - plan.place(plan.first).pictures
        metrics = self._step.metrics.values()
        try:
            with self._weights_to_keep(epoch, stop):
                validation = validated(self._feed, epoch, stop, self._workers)
                file = self._records.add_weights(self._model, epoch)
        except StopAsked:
            self._preempt(end)
        self._finish_epoch(
            end,
            file,
            EpochRow(
                epoch=epoch,
                stage=stage.name,
                loss=metrics.loss,
                accuracy=metrics.accuracy,
                val_loss=validation.loss,
                val_accuracy=validation.accuracy,
                val_product_accuracy=validation.product_accuracy,
                val_top5_accuracy=validation.top5_accuracy,
                learning_rate=self._step.learning_rate,
                pictures_per_second=pictures / max(seconds, 1e-9),
                seconds=time.monotonic()
                - self._epoch_began
                + self._checkpoint.position.seconds_before,
            ),
        )

    def _plan(self, epoch: int) -> EpochPlan:
        return EpochPlan(
            epoch,
            self._checkpoint.position.step,
            self._splits.steps(epoch),
            self._config.batch_size,
            self._splits.examples(epoch),
            self._checkpoint.position.global_step,
        )

    def _label_products(self, epoch: int, stop: StopFlag) -> None:
        """Gives products their pseudo labels, at the start of an epoch that uses them."""
        labels = self._splits.pseudo_labels_of(epoch)
        if labels is not None and self._checkpoint.position.step == 0:
            with self._step.averaged():
                self._records.labelled(labels.renew(self._model, stop.check, self._workers))

    def _hooks(self, plan: EpochPlan, stop: StopFlag) -> list[hooks.Hook]:
        """The hooks of an epoch, in the order in which they run."""
        config, metrics = self._config, self._step.metrics.values
        self._curves = hooks.Curves(
            self._records,
            metrics,
            lambda: self._step.learning_rate,
            config.log_every_steps,
            self._checkpoint.position.window,
        )
        place = plan.place(plan.first)
        line = ProgressLine(
            f"epoch {plan.epoch + 1}/{config.epochs}",
            place.total_pictures,
            self._splits.unit,
            place.pictures,
        )
        profiles = config.profile_steps and self._workers.is_chief
        first = [hooks.Profile(self._run.tensorboard, config.profile_steps)] if profiles else []
        timed = self._timed_hooks(line, stop)
        return [
            *self._extra_hooks,
            *first,
            hooks.FiniteCheck(self._guard.check_loss),
            hooks.CheckpointErrors(self._records.check),
            self._curves,
            *timed,
        ]

    def _timed_hooks(self, line: ProgressLine, stop: StopFlag) -> list[hooks.Hook]:
        """The hooks that act by time or on a signal, of which several workers tell each other."""
        metrics = self._step.metrics.values
        if not self._workers.several:
            return [
                hooks.Progress(line, metrics),
                hooks.Stop(stop, self._preempt),
                hooks.Checkpoints(self._clock, self._save),
            ]
        agreement = Agreement(self._workers, stop, self._clock, line)
        own_line = line if self._workers.is_chief else None
        return [
            agreement,
            hooks.Progress(AgreedLine(agreement, own_line), metrics),
            hooks.Stop(AgreedStop(agreement), self._preempt),
            hooks.Checkpoints(AgreedClock(agreement, self._clock), self._save),
        ]

    @contextlib.contextmanager
    def _weights_to_keep(self, epoch: int, stop: StopFlag) -> Iterator[None]:
        """Within the block, the network has the weights to validate and to save."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._step.averaged())
            if self._config.recalibrate:
                batches = self._feed.train_batches(epoch, ready=True)
                some = batches.take(self._config.recalibrate)
                stack.enter_context(recalibrated(self._feed.model, some, stop.check, self._workers))
            yield

    def _finish_epoch(self, end: hooks.Place, file: CheckpointFile, row: EpochRow) -> None:
        """Adds the epoch and its weights to the history, and commits both."""
        last = WeightsFile(file.file, file.sha256, row.epoch, row.val_loss)
        best = self._checkpoint.best
        if best is None or row.val_loss < best.val_loss:
            best = last
        if row.epoch == 0 and self._workers.is_chief:
            # Not earlier: tracing a deep network takes seconds.
            self._records.graph(self._feed.graph())
        self._records.epoch(row)
        self._update(
            history=(*self._checkpoint.history, row),
            best=best,
            last=last,
            position=Position(
                stage=self._checkpoint.position.stage,
                epoch=row.epoch + 1,
                global_step=end.global_step,
            ),
        )
        self._commit()
        self._await_commit()

    # Checkpoints.

    def _save(self, place: hooks.Place) -> None:
        """Begins to commit the state at `place`."""
        self._guard.check_loss(place)
        self._guard.check_weights(place)
        before = self._checkpoint.position.seconds_before
        seconds = before + time.monotonic() - self._epoch_began
        self._move(
            epoch=place.epoch, step=place.step, seconds_before=seconds, window=self._curves.window
        )
        self._commit()
        # This process keeps counting from when it began the epoch.
        self._move(seconds_before=before)

    def _preempt(self, place: hooks.Place) -> NoReturn:
        """Commits the state at `place`, and raises Preempted."""
        self._save(place)
        self._await_commit()
        raise self._stopped(place)

    def _stopped(self, place: hooks.Place) -> Preempted:
        return Preempted(
            f"Stopped as asked at epoch {place.epoch + 1}, step {place.step}; the checkpoint in "
            f"{self._run.path} is complete. The same command continues it."
        )

    def _commit(self, with_variables: bool = True) -> None:
        """Writes the curves, copies the variables, and begins to commit both."""
        self._update(events=self._records.curves(), workers=self._workers.this.count)
        arrays = copies_of(self._variables()) if with_variables else None
        self._records.commit(self._checkpoint, arrays)
        if with_variables:
            metrics = self._step.metrics.variables
            devices.share_sums(metrics, self._strategy.num_replicas_in_sync)
        self._clock.restart()

    def _await_commit(self) -> None:
        """Waits until the last commit counts, on all workers."""
        self._records.wait()
        self._workers.barrier()

    def _update(self, **changes: Any) -> None:
        self._checkpoint = dataclasses.replace(self._checkpoint, **changes)

    def _move(self, **changes: Any) -> None:
        self._update(position=dataclasses.replace(self._checkpoint.position, **changes))
