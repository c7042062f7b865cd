"""Loads the networks of the runs that a SavedModel is made of."""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.prediction.loading import load_predictor
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import FIT, RunSelection
from trainer.prediction.saved_model import Served, ServingError
from trainer.prediction.selected_runs import selected_folders
from trainer.runs.calibration_file import picture_temperature
from trainer.runs.run_weights import RunWeights


def load_served(
    selection: RunSelection, options: NetworkOptions, precision: str
) -> tuple[Served, dict[str, Any]]:
    """Loads the runs' networks; a single one gets its temperature for pictures, if it has one.

    Args:
      selection: the runs.
      options: which weights, and the views of each picture.
      precision: dtype policy of the networks.

    Returns:
      (the networks, what the SavedModel is made of, as JSON has it).

    Raises:
      ServingError: if the weights of runs would have to be fitted.
      Also the errors of `selected_folders` and `load_predictor`.
    """
    runs, views, weights = selected_folders(selection), options.views, selection.weights
    if weights is None:
        raise ServingError(
            f"--run_weights of a SavedModel must be numbers, because fitting needs the data set. "
            f"Received: {FIT}. Name those that `python -m trainer.evaluate` fitted."
        )
    identities = [RunWeights.of(run, options.checkpoint) for run in runs]
    temperature = None
    if len(runs) == 1 and identities[0] is not None:
        sha256 = identities[0].sha256
        temperature = picture_temperature(runs[0], sha256, views.flip, views.scales)
    predictors = tuple(
        load_predictor(
            run,
            checkpoint=options.checkpoint,
            views=views,
            temperature=temperature or 1.0,
            precision=precision,
        )
        for run in runs
    )
    for run, identity, predictor in zip(runs, identities, predictors, strict=True):
        if predictor.weights not in (None, identity):
            raise ServingError(
                f"{run.path} was trained further while it was loaded. Start the command again."
            )
    facts = {"precision": precision, **dataclasses.asdict(views), "temperature": temperature}
    rows = [dataclasses.asdict(identity) for identity in identities if identity is not None]
    if len(runs) == 1:
        return Served(predictors), rows[0] | facts
    members = [row | {"weight": weight} for row, weight in zip(rows, weights, strict=True)]
    made_from = {"mean": selection.run_mean, "runs": members}
    return Served(predictors, weights, selection.run_mean), made_from | facts
