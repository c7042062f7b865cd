"""Measures a finished run on a split: every labelled product once, exactly.

`trainer.runs.evaluation_file` describes the result.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.duplicates import unseen_products
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.counting import Evaluation, EvaluationError
from trainer.prediction.loading import load_predictor
from trainer.prediction.options import PredictionOptions
from trainer.prediction.predictor import Predictor, predict_products
from trainer.prediction.priors import training_split
from trainer.runs.evaluation_file import (
    Counts,
    EvaluationResult,
    LevelAccuracies,
    Method,
    file_name,
)
from trainer.runs.folder import RunFolder
from trainer.runs.run_weights import RunWeights
from trainer.terminal.progress import ProgressLine


def evaluate(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    unseen: np.ndarray | None = None,
    decoder: str = "tf",
) -> Counts:
    """Predicts the labelled products of a split and counts the results.

    Raises:
      EvaluationError: if no product of the split has a label that the run knows.
    """
    evaluation = Evaluation(LabelledSplit(split, predictor.label_map), unseen)
    line = ProgressLine(f"evaluating {split.spec}", len(evaluation.products), "products")
    for batch in predict_products(
        predictor,
        split,
        batch_size=batch_size,
        products=evaluation.products,
        decoder=decoder,
    ):
        evaluation.add(batch)
        line.update(evaluation.num_done)
    line.close()
    return evaluation.result()


def evaluate_run(
    run_dir: str | os.PathLike[str],
    split: str | None = None,
    options: PredictionOptions | None = None,
    deduplicate: bool = True,
) -> EvaluationResult:
    """Evaluates the run in a folder. `write_result` saves the result there.

    Args:
      run_dir: the run's folder.
      split: TFDS sub-split; default: the run's validation split.
      options: prediction options; default: the default of each option.
      deduplicate: also evaluate only the products that share no picture with the training split, by
        reading picture hashes.

    Raises:
      EvaluationError: if the split has no labels, or the result could not be saved afterwards.
    """
    run, options = RunFolder(run_dir), options or PredictionOptions()
    config = run.config
    data = open_dataset(options.data_dir or config.data_dir)
    spec = split or config.validation_split
    products = data.split(spec)
    # Check everything possible before the long work.
    Evaluation(LabelledSplit(products, run.label_map))
    _require_writable(output_path(run, spec))
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    predictor = load_predictor(
        run, data, checkpoint=options.checkpoint, flip=options.flip, mean=options.mean
    )
    training = training_split(data, config) if deduplicate else None
    counts = evaluate(
        predictor,
        products,
        batch_size=options.batch_size or config.eval_batch_size,
        unseen=None if training is None else unseen_products(products, training),
        decoder=decoder,
    )
    return EvaluationResult(_method(predictor.weights, products, options, decoder), counts)


def _method(
    weights: RunWeights | None, products: Split, options: PredictionOptions, decoder: str
) -> Method:
    """The products, weights and method of the evaluation."""
    return Method(
        split=products.spec,
        checkpoint=options.checkpoint,
        flip=options.flip,
        mean=options.mean,
        decoder=decoder,
        epoch=weights.epoch if weights else None,
        weights_sha256=weights.sha256 if weights else None,
        data_digest=products.index.digest,
    )


def write_result(run_dir: str | os.PathLike[str], result: EvaluationResult) -> pathlib.Path:
    """Saves a result in the run's folder and returns its path."""
    path = output_path(RunFolder(run_dir), result.method.split)
    path.parent.mkdir(exist_ok=True)
    result.write(path)
    return path


def output_path(run: RunFolder, split: str) -> pathlib.Path:
    """The path of the evaluation of a split, e.g. RUN/evaluation/train[80%:].json."""
    return run.evaluation / file_name(split)


def _require_writable(path: pathlib.Path) -> None:
    folder = path.parent if path.parent.exists() else path.parent.parent
    if not os.access(folder, os.W_OK):
        raise EvaluationError(
            f"An evaluation is kept in the run's folder, which must be writable. Received: {folder}"
            ". Copy the run to a folder of your own, or change its permissions."
        )


def table(result: EvaluationResult) -> str:
    """A result as text for the terminal."""
    method, counts = result.method, result.counts
    lines = [
        f"{counts.num_products:,} products, {counts.num_pictures:,} pictures of {method.split}, "
        f"{method.checkpoint} checkpoint"
        + (", with mirror images" if method.flip else "")
        + (", decoded by DALI" if method.decoder == "dali" else ""),
        "",
        f"{'':<14}{'by product':^20}{'by picture':^20}",
        f"{'':<14}" + f"{'accuracy':>10}{'top 5':>10}" * 2,
    ]
    product, picture = counts.product, counts.picture
    classes = LevelAccuracies(
        product.accuracy, product.top5_accuracy, picture.accuracy, picture.top5_accuracy
    )
    rows = (("classes", classes), ("level 2", counts.level2), ("level 1", counts.level1))
    for name, row in rows:
        if row is not None:
            values = dataclasses.astuple(row)
            lines.append(f"{name:<14}" + "".join(f"{value:>10.4f}" for value in values))
    if unique := counts.deduplicated:
        lines.append(f"{'not in train':<14}{unique.accuracy:>10.4f}{unique.top5_accuracy:>10.4f}")
        lines += [
            "",
            f"not in train: the {unique.num_products:,} products none of whose pictures is in the "
            "training split",
        ]
    for count, reason in (
        (counts.num_unlabelled, "without a label"),
        (counts.num_foreign, "of categories that this run does not know"),
    ):
        if count:
            lines.append(f"left out: {count:,} products {reason}")
    return "\n".join(lines)
