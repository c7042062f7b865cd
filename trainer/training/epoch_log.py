"""Reports a run: prints a line at its start and one per epoch, and draws TensorBoard's curves."""

from __future__ import annotations

import pathlib
import sys

from cdisc_tfds.progress_line import duration
from trainer.data.labelled_split import LabelledSplit
from trainer.runs.event_log import EventLog
from trainer.runs.state import EpochRow, Position
from trainer.settings.config import Config
from trainer.training.pseudo_labels import Labelling


class EpochLog:
    """Writes to stderr and to TensorBoard.

    Args:
      run_dir: folder of the run.
      events: TensorBoard's files.
      unit: what training counts, `pictures` or `products`.
    """

    def __init__(self, run_dir: pathlib.Path, events: EventLog, unit: str = "pictures"):
        self._run_dir, self._events, self._unit = run_dir, events, unit

    def begin(
        self, config: Config, parameters: int, train: LabelledSplit, validation: LabelledSplit
    ) -> None:
        """Prints what is about to be trained."""
        _say(
            f"Training {config.model} ({parameters:,} parameters, "
            f"{train.label_map.num_classes:,} classes, {config.precision}) with {config.optimizer} "
            f"on {train.num_products:,} products ({train.num_pictures:,} pictures), validating "
            f"on {validation.num_products:,}. Run folder: {self._run_dir}"
        )

    def resume(self, position: Position) -> None:
        """Prints where training continues."""
        _say(f"Continuing {self._run_dir} at epoch {position.epoch + 1}, step {position.step}.")

    def labelled(self, labelling: Labelling) -> None:
        """Prints how many products got pseudo labels."""
        _say(
            f"Pseudo labels for {labelling.products:,} products of {labelling.spec} "
            f"({labelling.pictures:,} pictures), each at least {labelling.least_sure:.3f} sure."
        )

    def epoch(self, row: EpochRow, epochs: int) -> None:
        """Prints an epoch's results, and adds them to the curves."""
        _say(
            f"epoch {row.epoch + 1}/{epochs}  {duration(row.seconds)}  "
            f"{row.pictures_per_second:,.0f} {self._unit}/s  loss {row.loss:.4f}  "
            f"accuracy {row.accuracy:.4f}  validation: loss {row.val_loss:.4f}  "
            f"accuracy {row.val_accuracy:.4f} by picture, {row.val_product_accuracy:.4f} by product"
        )
        train = {
            "epoch_loss": row.loss,
            "epoch_accuracy": row.accuracy,
            "epoch_learning_rate": row.learning_rate,
        }
        validation = {
            "epoch_loss": row.val_loss,
            "epoch_accuracy": row.val_accuracy,
            "epoch_product_accuracy": row.val_product_accuracy,
            "epoch_top5_accuracy": row.val_top5_accuracy,
        }
        self._events.scalars("train", train, row.epoch)
        self._events.scalars("validation", validation, row.epoch)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
