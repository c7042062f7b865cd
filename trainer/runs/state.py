"""`state.json`: the position of training, the history so far, and the checkpoint files in use.

    {"format": 2, "data": {...}, "settings_sha256": "...",
     "entries": [newest, previous], "sha256": "..."}

`sha256` covers everything else in the file, and reveals an edited or damaged state. Format 1
(versions up to 0.1) had only entries, with the values of the position directly in each entry.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

FORMAT = 2
CHECKPOINTS = ("best", "last")


class StateError(ValueError):
    """A state file that cannot be read.

    Attributes:
      newer: whether a newer version of the project wrote it.
    """

    def __init__(self, message: str, newer: bool = False):
        super().__init__(message)
        self.newer = newer


@dataclasses.dataclass(frozen=True)
class CheckpointFile:
    """A file in `checkpoints/` and the SHA-256 of its bytes."""

    file: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class WeightsFile(CheckpointFile):
    """The network's weights after an epoch (counted from 0), and their validation loss in nats."""

    epoch: int
    val_loss: float


@dataclasses.dataclass(frozen=True)
class EpochRow:
    """The results of a finished epoch.

    Attributes:
      epoch: counted from 0.
      stage: name of its stage.
      loss, accuracy: running means over the epoch's training pictures.
      val_loss: mean over the validation pictures, in nats.
      val_accuracy, val_top5_accuracy: by picture.
      val_product_accuracy: by product, with probabilities averaged over its pictures.
      learning_rate: learning rate at the end of the epoch.
      pictures_per_second: speed of training, without validation.
      seconds: duration of training and validation, without interruptions.
    """

    epoch: int
    stage: str
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    val_product_accuracy: float
    val_top5_accuracy: float
    learning_rate: float
    pictures_per_second: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class CurveWindow:
    """Totals at the last point of the curves within the epoch: pictures, and sums over them."""

    pictures: int = 0
    loss: float = 0.0
    accuracy: float = 0.0


@dataclasses.dataclass(frozen=True)
class Position:
    """The position of training.

    Attributes:
      stage: number of the stage.
      epoch: number of finished epochs.
      step: number of finished steps of the current epoch.
      global_step: number of steps of all finished epochs.
      seconds_before: seconds that earlier processes spent in the epoch.
      window: totals at the last point of the curves.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    seconds_before: float = 0.0
    window: CurveWindow = CurveWindow()


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that a resumed run needs to know.

    Attributes:
      position: the position of training.
      finished: whether training is complete.
      stopped_early: whether it stopped because it no longer improved.
      training_state: file of the variables of network, optimizer, averaged weights and running
        metrics; None before the first checkpoint.
      best, last: weights of the epoch with the lowest validation loss, and of the last epoch.
      history: one row per finished epoch.
      events: length in bytes of each TensorBoard file, by its path in the run's TensorBoard folder.
      workers: number of machines that trained up to here.
    """

    position: Position = Position()
    finished: bool = False
    stopped_early: bool = False
    training_state: CheckpointFile | None = None
    best: WeightsFile | None = None
    last: WeightsFile | None = None
    history: tuple[EpochRow, ...] = ()
    events: dict[str, int] = dataclasses.field(default_factory=dict)
    workers: int = 1

    @property
    def files(self) -> list[CheckpointFile]:
        """The files in `checkpoints/` that this checkpoint uses."""
        return [file for file in (self.training_state, self.best, self.last) if file is not None]


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """Identifies the data that a run was trained and validated on.

    Attributes:
      train, validation: SHA-256 of the product ids, numbers of pictures and categories of all
        products in the training splits and in the validation splits, in record order.
    """

    train: str
    validation: str


@dataclasses.dataclass(frozen=True)
class RunState:
    """The contents of `state.json`.

    Attributes:
      entries: the newest checkpoint and the previous one.
      data: identity of the run's data; None in runs of versions up to 0.1.
      settings_sha256: digest of the settings that define the run; None likewise.
      format: format of the file that it was read from.
    """

    entries: tuple[Checkpoint, ...]
    data: DataIdentity | None = None
    settings_sha256: str | None = None
    format: int = FORMAT

    @property
    def newest(self) -> Checkpoint:
        return self.entries[0]

    @property
    def finished(self) -> bool:
        return self.newest.finished

    @property
    def best(self) -> WeightsFile | None:
        return self.newest.best

    @property
    def last(self) -> WeightsFile | None:
        return self.newest.last

    def weights(self, checkpoint: str) -> WeightsFile | None:
        """The weights of one of CHECKPOINTS; None before the end of the first epoch."""
        return {"best": self.best, "last": self.last}[checkpoint]

    def to_json(self) -> str:
        """The text of the file."""
        content = {
            "format": FORMAT,
            "data": dataclasses.asdict(self.data) if self.data else None,
            "settings_sha256": self.settings_sha256,
            "entries": [dataclasses.asdict(entry) for entry in self.entries],
        }
        return json.dumps(content | {"sha256": _digest(content)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, path: object = "state.json") -> RunState:
        """Reads what `to_json` wrote, in this version or an earlier one from 0.1 on.

        Args:
          text: the text of the file.
          path: the file, for error messages.

        Raises:
          StateError: if it was edited or damaged, or a newer version wrote it.
        """
        try:
            content = json.loads(text)
            number = content.get("format", 1)
            if not isinstance(number, int) or number > FORMAT:
                raise StateError(
                    f"This version reads state files up to format {FORMAT}. {path} has format "
                    f"{number}: a newer version of the project wrote it. Use that version, or "
                    "choose another --run_dir.",
                    newer=True,
                )
            if number >= 2 and content.pop("sha256", None) != _digest(content):
                raise StateError(f"{path} is not as it was written: its SHA-256 differs.")
            entries = tuple(_checkpoint(entry, number) for entry in content["entries"])
            data = content.get("data")
            data = DataIdentity(**data) if data else None
            return cls(entries, data, content.get("settings_sha256"), number)
        except StateError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"{path} cannot be read as a run's state ({type(error).__name__}: {error})."
            ) from error


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checkpoint(entry: dict[str, Any], number: int) -> Checkpoint:
    position = entry if number == 1 else entry["position"]
    names = [field.name for field in dataclasses.fields(Position)]
    values = {name: position[name] for name in names}
    window = CurveWindow(**values.pop("window"))

    def weights(name: str) -> WeightsFile | None:
        return WeightsFile(**entry[name]) if entry[name] else None

    state = entry["training_state"]
    return Checkpoint(
        position=Position(**values, window=window),
        finished=entry["finished"],
        stopped_early=entry["stopped_early"],
        training_state=CheckpointFile(**state) if state else None,
        best=weights("best"),
        last=weights("last"),
        history=tuple(EpochRow(**row) for row in entry["history"]),
        events=dict(entry["events"]),
        workers=entry.get("workers", 1),  # versions before 0.3 knew one
    )
