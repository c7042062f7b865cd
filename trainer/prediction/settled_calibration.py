"""Which temperatures an evaluation applies: fitted now, or kept in the run's folder."""

from __future__ import annotations

from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.mixture_rules import common_validation_split, require_unseen
from trainer.prediction.selected_runs import SelectedRuns
from trainer.prediction.temperature import calibrate
from trainer.prediction.views import Views
from trainer.runs.calibration_file import (
    CalibratedMethod,
    Calibration,
    keep_calibration,
    read_calibrations,
)


def settled_calibration(
    selected: SelectedRuns,
    data: CdiscountData,
    views: Views,
    *,
    fit: bool,
    workers: Workers = ALONE,
) -> Calibration | None:
    """The temperatures of the runs.

    Args:
      selected: the runs. The temperatures of one run are kept in its folder; those of several
        together are of the mixture, and kept nowhere.
      data: the data set.
      views: how each picture is looked at.
      fit: whether to fit temperatures, on the runs' validation split.
      workers: those that fit them together; the chief keeps them.

    Returns:
      The temperatures just fitted, or kept in the folder for this very method; else None.

    Raises:
      MixtureError: if the runs have no common validation split, or were trained on it.
      PredictionError: if the split has no labelled product with a picture.
      CalibrationFileError: if the run's file cannot be read.
    """
    first = selected.members[0]

    def method() -> CalibratedMethod:
        first.hold_weights()  # the temperatures are theirs
        return CalibratedMethod(first.weights.sha256, views.flip, views.scales, first.mean)

    if not fit:
        if selected.mixture is not None or not (kept := read_calibrations(first.run)):
            return None
        return kept.get(method())
    runs = [member.run for member in selected.members]
    validation = data.split(common_validation_split(runs))
    require_unseen(validation, runs, data)
    calibration = calibrate(selected.source, LabelledSplit(validation, first.label_map))
    if selected.mixture is None and workers.is_chief:
        # After the predictions, which may have loaded newer weights.
        keep_calibration(first.run, method(), calibration)
    return calibration
