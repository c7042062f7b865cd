"""What a run leaves in its folder: checkpoints, curves, history. One worker writes all of it."""

from __future__ import annotations

import types
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trainer.cluster.workers import Workers
from trainer.data.labelled_split import LabelledSplit
from trainer.runs.checkpoint_store import CheckpointStore
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.event_log import EventLog
from trainer.runs.folder import RunFolder, settings_digest
from trainer.runs.state import Checkpoint, CheckpointFile, DataIdentity, EpochRow
from trainer.settings.config import Config
from trainer.training.epoch_log import EpochLog
from trainer.training.pseudo_labels import Labelling


class Records:
    """Stands for the records of a run where another worker keeps them: does nothing.

    Args:
      newest: the checkpoint to start from.

    Attributes:
      newest: likewise.
    """

    def __init__(self, newest: Checkpoint):
        self.newest = newest

    def __enter__(self) -> Records:
        """As a context manager, it ends with no commit in flight."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """See `__enter__`."""

    def resume(self) -> None:
        """Says where training continues."""

    def begin(self, parameters: int, train: LabelledSplit, validation: LabelledSplit) -> None:
        """Says what is about to be trained, and keeps its settings for TensorBoard."""

    def pictures(self, batch: np.ndarray) -> None:
        """Keeps training pictures, uint8 [n, height, width, 3], for TensorBoard."""

    def graph(self, function: tf.types.experimental.ConcreteFunction) -> None:
        """Keeps the network's operations for TensorBoard."""

    def labelled(self, labelling: Labelling) -> None:
        """Says how many products got pseudo labels."""

    def epoch(self, row: EpochRow) -> None:
        """Says what an epoch gave, and adds it to the curves."""

    def scalars(self, curve: str, values: dict[str, float], step: int) -> None:
        """Adds points to a curve; see `EventLog.scalars`."""

    def add_weights(self, model: keras.Model, epoch: int) -> CheckpointFile:
        """Writes a network's weights after an epoch; see `CheckpointStore.add_weights`."""
        return CheckpointFile("", "")

    def curves(self) -> dict[str, int]:
        """Writes the curves, for the next commit; returns the length of each event file."""
        return {}

    def commit(self, checkpoint: Checkpoint, arrays: Sequence[np.ndarray] | None) -> None:
        """Begins to commit; see `CheckpointWriter.begin`."""

    def check(self) -> None:
        """Raises the error of a commit that has failed; see `CheckpointWriter.check`."""

    def wait(self) -> None:
        """Waits until no commit is in flight; see `CheckpointWriter.wait`."""

    def close(self) -> None:
        """Closes the event files."""


class RunRecords(Records):
    """The records of a run that this process writes.

    Args:
      run: the run's folder, which this process alone writes to.
      config: resolved settings.
      identity: identity of the run's data.
      unit: what training counts, `pictures` or `products`.

    Attributes:
      newest: the newest intact checkpoint at the start.
    """

    def __init__(self, run: RunFolder, config: Config, identity: DataIdentity, unit: str):
        store = CheckpointStore(run, identity, settings_digest(config))
        # Its training state is the one to resume from: the store knows the later ones.
        super().__init__(store.newest_intact() or Checkpoint())
        self._config = config
        self._writer = CheckpointWriter(run, store)
        self._events = EventLog(run.tensorboard, self.newest.events)
        self._log = EpochLog(run.path, self._events, unit)

    def __enter__(self) -> RunRecords:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def resume(self) -> None:
        self._log.resume(self.newest.position)

    def begin(self, parameters: int, train: LabelledSplit, validation: LabelledSplit) -> None:
        self._log.begin(self._config, parameters, train, validation)
        self._events.hparams(self._config)

    def pictures(self, batch: np.ndarray) -> None:
        self._events.pictures("input pictures", batch)

    def graph(self, function: tf.types.experimental.ConcreteFunction) -> None:
        self._events.graph(function)

    def labelled(self, labelling: Labelling) -> None:
        self._log.labelled(labelling)

    def epoch(self, row: EpochRow) -> None:
        self._log.epoch(row, self._config.epochs)

    def scalars(self, curve: str, values: dict[str, float], step: int) -> None:
        self._events.scalars(curve, values, step)

    def add_weights(self, model: keras.Model, epoch: int) -> CheckpointFile:
        with self._writer.alone() as store:
            return store.add_weights(model, epoch)

    def curves(self) -> dict[str, int]:
        with self._writer.alone() as store:
            store.require_own_state()  # before the curves, which would be doubled
            return self._events.commit()

    def commit(self, checkpoint: Checkpoint, arrays: Sequence[np.ndarray] | None) -> None:
        self._writer.begin(checkpoint, arrays)

    def check(self) -> None:
        self._writer.check()

    def wait(self) -> None:
        self._writer.wait()

    def close(self) -> None:
        self._events.close()


def open_records(
    run: RunFolder, config: Config, identity: DataIdentity, unit: str, workers: Workers
) -> Records:
    """The records of a run, which the chief of the workers keeps for all.

    Raises:
      RunFolderError: if the chief continues from a checkpoint that another worker does not see.
      Also the errors of `CheckpointStore`; the other workers raise WorkersError with its text.
    """
    own: list[Records] = []

    def open_own() -> str:
        own.append(RunRecords(run, config, identity, unit))
        state = own[0].newest.training_state
        return "" if state is None else state.file

    file = workers.from_chief(open_own)
    if not own:
        entries = run.state.entries if run.has_state else ()
        states = {one.training_state.file: one for one in entries if one.training_state}
        own.append(Records(states.get(file, Checkpoint())))
    seen = own[0].newest.training_state
    there = seen is not None and (run.checkpoints / seen.file).exists()
    workers.require_no_problem(
        "" if there or not file else f"{run.path} lacks the checkpoint {file} that the chief has."
    )
    return own[0]
