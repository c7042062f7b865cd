"""`state.json`: where training stands, the history so far, and which checkpoint files count.

    {"format": 2, "data": {...}, "settings_sha256": "...",
     "entries": [newest, the one before], "sha256": "..."}

`sha256` is of everything else in the file: it gives away an edited or damaged state. Format 1
(versions up to 0.1) had entries alone, which held the position's values beside the others.
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
    """What is known of a finished epoch.

    Attributes:
      epoch: counted from 0.
      stage: name of the stage that it belongs to.
      loss, accuracy: running means over the epoch's training pictures.
      val_loss: mean over the validation pictures, in nats.
      val_accuracy, val_top5_accuracy: by picture.
      val_product_accuracy: of the probabilities averaged over each product's pictures.
      learning_rate: of the epoch's last step.
      pictures_per_second: of training, without validation.
      seconds: of training and validation, interruptions left out.
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
    """Where training stands.

    Attributes:
      stage: number of the stage.
      epoch: epochs that are finished.
      step: steps that are finished of the epoch after those.
      global_step: steps of all finished epochs.
      seconds_before: seconds that earlier processes spent in the epoch.
      window: where the curves stand.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    global_step: int = 0
    seconds_before: float = 0.0
    window: CurveWindow = CurveWindow()


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that a continued run needs to know.

    Attributes:
      position: where training stands.
      finished: whether training has come to its end.
      stopped_early: whether that was for want of improvement.
      training_state: the variables of network, optimizer and running metrics; None before the
        first checkpoint.
      best, last: weights of the epoch with the lowest validation loss, and of the last epoch.
      history: a row for each finished epoch.
      events: length in bytes of each TensorBoard file, by its path in the run's folder.
    """

    position: Position = Position()
    finished: bool = False
    stopped_early: bool = False
    training_state: CheckpointFile | None = None
    best: WeightsFile | None = None
    last: WeightsFile | None = None
    history: tuple[EpochRow, ...] = ()
    events: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def files(self) -> list[CheckpointFile]:
        """The files in `checkpoints/` that this checkpoint counts on."""
        return [file for file in (self.training_state, self.best, self.last) if file is not None]


@dataclasses.dataclass(frozen=True)
class DataIdentity:
    """What a run was trained and validated on.

    Attributes:
      train, validation: SHA-256 over the product ids, numbers of pictures and categories of all
        products of the training splits and of the validation splits, in the order of the records.
    """

    train: str
    validation: str


@dataclasses.dataclass(frozen=True)
class RunState:
    """The contents of `state.json`.

    Attributes:
      entries: the newest checkpoint and the one before it.
      data: what the run was trained on; None in runs of versions up to 0.1.
      settings_sha256: digest of the settings that make the run; None likewise.
      format: of the file that this was read from.
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
        """The weights of one of CHECKPOINTS; None before the first epoch is finished."""
        return {"best": self.best, "last": self.last}[checkpoint]

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "format": FORMAT,
            "data": dataclasses.asdict(self.data) if self.data else None,
            "settings_sha256": self.settings_sha256,
            "entries": [dataclasses.asdict(entry) for entry in self.entries],
        }
        return json.dumps(content | {"sha256": _digest(content)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, path: object = "state.json") -> RunState:
        """Reads what `to_json`, or a version from 0.1 on, wrote.

        Args:
          text: the file's.
          path: where it came from, for errors.

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
    )
