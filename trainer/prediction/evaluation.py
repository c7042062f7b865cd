"""Measures a finished run on a split: every labelled product once, exactly.

`trainer.runs.evaluation_file` describes the result.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from cdisc_tfds.progress_line import ProgressLine
from cdisc_tfds.storage import can_write_to, is_remote, path_of
from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.alike import require_alike
from trainer.prediction.counting import Background, Evaluation, EvaluationError
from trainer.prediction.mixture_rules import common_validation_split
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.selected_runs import select_runs, selected_folders
from trainer.prediction.settled_calibration import settled_calibration
from trainer.prediction.sources import Source
from trainer.prediction.trained_products import TrainedProducts, known_classes
from trainer.runs.evaluation_file import (
    EvaluationResult,
    file_name,
)
from trainer.runs.folder import RunFolder
from trainer.runs.prediction_method import Method


def evaluate(source: Source, split: Split, background: Background | None = None) -> Evaluation:
    """Predicts the labelled products of a split and counts the results.

    Raises:
      EvaluationError: if no product of the split has a label that the source knows.
    """
    evaluation = Evaluation(LabelledSplit(split, source.label_map), background)
    line = ProgressLine(f"evaluating {split.spec}", len(evaluation.products), "products")
    for batch in source.predict(split, evaluation.products):
        evaluation.add(batch)
        line.update(evaluation.num_done)
    line.close()
    return evaluation


def evaluate_run(
    run_dir: str | os.PathLike[str],
    split: str | None = None,
    options: PredictionOptions | None = None,
    deduplicate: bool = True,
    calibrate: bool = False,
) -> EvaluationResult:
    """Evaluates the run in a folder, as `evaluate_runs`. `write_result` saves the result there."""
    selection = RunSelection(run_dir=os.fspath(run_dir))
    return evaluate_runs(selection, split, options, deduplicate, calibrate)


def evaluate_runs(
    selection: RunSelection,
    split: str | None = None,
    options: PredictionOptions | None = None,
    deduplicate: bool = True,
    calibrate: bool = False,
    workers: Workers = ALONE,
) -> EvaluationResult:
    """Evaluates a run, or several together.

    Args:
      selection: the runs.
      split: TFDS sub-split; default: the runs' validation split.
      options: prediction options; default: the default of each option.
      deduplicate: also evaluate only the products that share no picture with a training split, by
        reading picture hashes.
      calibrate: fit temperatures first, as in `settled_calibration`.
      workers: those that share the predictions; all get the result, and the chief alone writes.

    Raises:
      EvaluationError: if the split has no labels, or the result could not be saved afterwards.
      OptionError, MixtureError: if the runs cannot predict together.
      KnownPicturesError: as in `known_classes`.
      WorkersError: if the workers differ, or another one fails.
      Preempted: if another worker is stopped or lost; finished predictions are kept.
    """
    # Check everything possible before the long work.
    runs, options = selected_folders(selection), options or PredictionOptions()
    views = options.views
    data = open_dataset(options.data_dir or runs[0].config.data_dir)
    products = data.split(split or common_validation_split(runs))
    label_map = runs[0].label_map
    require_alike(
        workers, selection, options, runs, products, deduplicate=deduplicate, calibrate=calibrate
    )
    Evaluation(LabelledSplit(products, label_map))
    if len(runs) == 1:
        workers.from_chief(lambda: _writable(output_path(runs[0], products.spec)))
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    trained = TrainedProducts.of(runs, data)
    background = _background(trained, products, label_map, deduplicate, options.known_pictures)
    selected = select_runs(selection, runs, data, options, decoder, workers)
    calibration = settled_calibration(selected, data, views, fit=calibrate, workers=workers)
    background = dataclasses.replace(background, calibration=calibration)
    # First, because the runs may still train: then the weights are those that are loaded now.
    evaluation = evaluate(selected.source, products, background)
    method = Method(
        split=products.spec,
        checkpoint=options.checkpoint,
        decoder=decoder,
        data_digest=products.index.digest,
        calibration=calibration,
        **dataclasses.asdict(views),
        **selected.facts,
    )
    return EvaluationResult(
        method, evaluation.result(), evaluation.categories(), evaluation.guesses()
    )


def _background(
    trained: TrainedProducts | None,
    products: Split,
    label_map: LabelMap,
    deduplicate: bool,
    known_pictures: bool,
) -> Background:
    """What the training products tell about those of a split."""
    return Background(
        unseen=trained.unseen(products) if trained and deduplicate else None,
        training_products=trained.by_class(label_map) if trained else None,
        known=known_classes(products, trained, label_map) if known_pictures else None,
    )


def write_result(place: str | os.PathLike[str], result: EvaluationResult) -> pathlib.Path:
    """Saves a result and returns its path.

    Args:
      place: the folder of the run, or the file for the result of several runs.
      result: the result.
    """
    path = path_of(place)
    if result.method.mixture is None:
        path = output_path(RunFolder(place), result.method.split)
        path.parent.mkdir(exist_ok=True)
    result.write(path)
    return path


def output_path(run: RunFolder, split: str) -> pathlib.Path:
    """The path of the evaluation of a split, e.g. RUN/evaluation/train[80%:].json."""
    return run.evaluation / file_name(split)


def check_output(selection: RunSelection, output: str | None) -> pathlib.Path | None:
    """Checks where the evaluation goes.

    Args:
      selection: the runs.
      output: the file for the evaluation of several runs; None for that of one run, which is kept
        in the run's folder.

    Returns:
      `output` as a path.

    Raises:
      EvaluationError: if the file is missing for several runs, given for one, or cannot be written.
      OptionError: as in `RunSelection.folders`.
    """
    folders = selection.folders
    if len(folders) == 1:
        if output is not None:
            raise EvaluationError(
                "The evaluation of one run is kept in its folder, where the report finds it. "
                f"Received: --output={output}. Leave it out."
            )
        return None
    path = path_of(output or "")
    if path.suffix != ".json" or path.is_dir() or not (is_remote(path) or path.parent.is_dir()):
        raise EvaluationError(
            "The evaluation of several runs needs --output, a .json file in an existing folder. "
            f"Received: {output}."
        )
    for folder in folders:
        if path.resolve().is_relative_to(path_of(folder).resolve()):
            raise EvaluationError(
                f"The evaluation of several runs is not that of {folder}, whose folder would hold "
                f"it. Received: --output={output}. Choose a file outside the runs' folders."
            )
    _writable(path)
    return path


def _writable(path: pathlib.Path) -> str:
    """Returns the path of a file as text; raises EvaluationError unless it can be written."""
    folder = path.parent if path.parent.exists() else path.parent.parent
    if not can_write_to(folder):
        raise EvaluationError(
            f"An evaluation needs a folder that can be written to. Received: {folder}. Copy the "
            "run to a folder of your own, or change its permissions."
        )
    return str(path)
