"""The real pictures that an exported file is checked with, and calibrated with."""

from __future__ import annotations

import dataclasses

import numpy as np

from cdisc_tfds.built_dataset import DatasetError
from trainer.data.dataset import CdiscountData, Split
from trainer.data.input_pipeline import inference_dataset
from trainer.data.record_reading import clear_record_errors
from trainer.prediction.format_table import FormatOptions
from trainer.runs.folder import RunFolder

_BATCH = 32


@dataclasses.dataclass(frozen=True, eq=False)
class FilePictures:
    """The pictures that an export needs, uint8 [n, s, s, 3].

    Attributes:
      checked: those that file and runs both predict.
      split: where they come from.
      calibrating: those that show the ranges of numbers for 8-bit integers; None: float32.
    """

    checked: np.ndarray
    split: str
    calibrating: np.ndarray | None = None


def file_pictures(
    run: RunFolder, data: CdiscountData, options: FormatOptions, image_size: int
) -> FilePictures:
    """Reads the pictures: of the run's validation split, and with --int8 of its training split.

    Args:
      run: the run; the first one of several.
      data: the data set.
      options: how many pictures.
      image_size: s.

    Raises:
      LabelMapError: if the data set's categories are not the run's.
      DatasetError: as in `first_pictures`, or if the data set does not hold the splits.
    """
    run.require_categories(data.categories)
    spec, training = run.config.validation_split, run.config.train_split
    checked = first_pictures(data.split(spec), options.check_pictures, image_size)
    if not options.int8:
        return FilePictures(checked, spec)
    number = options.calibration_pictures
    return FilePictures(checked, spec, first_pictures(data.split(training), number, image_size))


def first_pictures(split: Split, number: int, image_size: int) -> np.ndarray:
    """The first readable pictures, up to `number`: uint8 [n, image_size, image_size, 3].

    The build orders records by a hash of their ids, so the first ones are a random sample, the same
    each time; and only they are read.

    Raises:
      DatasetError: if a record is damaged, or the split has no readable picture.
    """
    batches: list[np.ndarray] = []
    dataset = inference_dataset(split, batch_size=min(_BATCH, number), image_size=image_size)
    with clear_record_errors(split):
        for element in dataset:
            batches.append(element["inputs"].numpy())
            if sum(map(len, batches)) >= number:
                break
    if not any(map(len, batches)):
        raise DatasetError(
            f"An export needs pictures. The split {split.spec!r} has no readable one. Name a data "
            "set that has some with --data_dir."
        )
    return np.concatenate(batches)[:number]
