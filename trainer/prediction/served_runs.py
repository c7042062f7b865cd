"""Loads the networks of the runs that a SavedModel is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainer.prediction.fused_source import FUSED, load_fused
from trainer.prediction.loading import load_predictor
from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import FIT, RunSelection
from trainer.prediction.saved_model import Servable, Served, ServingError
from trainer.prediction.selected_runs import selected_folders
from trainer.prediction.served_fusion import ServedFusion
from trainer.runs.calibration_file import (
    CalibratedMethod,
    picture_temperature,
    read_calibrations,
)
from trainer.runs.folder import RunFolder
from trainer.runs.run_weights import RunWeights


def load_served(
    selection: RunSelection, options: NetworkOptions, precision: str
) -> tuple[Servable, dict[str, Any]]:
    """Loads the runs' networks; a single one gets its temperature for pictures, if it has one.

    Args:
      selection: the runs.
      options: which weights, and the views of each picture.
      precision: dtype policy of the networks.

    Returns:
      (the networks, what the SavedModel is made of, as JSON has it).

    Raises:
      ServingError: if the weights of runs would have to be fitted, or a fused run is not alone.
      Also the errors of `selected_folders` and `load_predictor`.
    """
    runs, views, weights = selected_folders(selection), options.views, selection.weights
    if weights is None:
        raise ServingError(
            f"--run_weights of a SavedModel must be numbers, because fitting needs the data set. "
            f"Received: {FIT}. Name those that `python -m trainer.evaluate` fitted."
        )
    if any(run.config.fusion is not None for run in runs):
        return _load_fusion(runs, options, precision)
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


def _load_fusion(
    runs: Sequence[RunFolder], options: NetworkOptions, precision: str
) -> tuple[ServedFusion, dict[str, Any]]:
    """Loads a fused run; it gets its temperature for products, if it has one."""
    if len(runs) > 1:
        raise ServingError(
            "A fused run takes products, other runs take pictures: one SavedModel cannot hold "
            f"both. Received: {', '.join(str(run.path) for run in runs)}. Name one --run_dir."
        )
    (run,), views = runs, options.views
    identity, temperature = RunWeights.of(run, options.checkpoint), None
    if identity is not None:
        method = CalibratedMethod(identity.sha256, views.flip, views.scales, FUSED)
        calibration = read_calibrations(run).get(method)
        temperature = None if calibration is None else calibration.product
    network = load_fused(
        run,
        checkpoint=options.checkpoint,
        views=views,
        temperature=temperature or 1.0,
        precision=precision,
    )
    if identity is None or network.predictor.weights != identity:
        raise ServingError(
            f"{run.path} was trained further while it was loaded. Start the command again."
        )
    members = dataclasses.asdict(run.config)["fusion"]["members"]
    facts = {"precision": precision, **dataclasses.asdict(views), "temperature": temperature}
    return ServedFusion(network), dataclasses.asdict(identity) | facts | {"fused_runs": members}
