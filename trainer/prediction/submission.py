"""Writes the predictions of a run as the competition's submission: one row per product.

    python -m trainer.submit --run_dir=runs/cnn-adam --output=submission.csv.gz

The file has the header `_id,category_id` and one row per product, in ascending order of `_id`. It
only appears once it is complete, read back and checked. The same run and data set give the same
bytes.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import pathlib
from typing import IO

import numpy as np
from absl import logging

from cdisc_tfds.progress_line import ProgressLine
from cdisc_tfds.storage import path_of
from cdisc_tfds.whole_files import whole_file
from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import Split, open_dataset
from trainer.data.decoding import resolve_decoder
from trainer.data.label_map import LabelMap
from trainer.prediction.alike import require_alike
from trainer.prediction.options import PredictionOptions
from trainer.prediction.run_selection import RunSelection
from trainer.prediction.selected_runs import select_runs, selected_folders
from trainer.prediction.sources import Source
from trainer.prediction.trained_products import TrainedProducts, known_classes
from trainer.runs.checkpoint import sha256_of
from trainer.runs.output_file import checked_output, write_made_from

HEADER = "_id,category_id"
COMPETITION = "cdiscount-image-classification-challenge"
_ROWS = 100_000  # rows to format at a time


class SubmissionError(ValueError):
    """A submission that cannot be written, or that would be wrong."""


def write_submission(
    path: str | os.PathLike[str], product_ids: np.ndarray, category_ids: np.ndarray
) -> str:
    """Writes rows in ascending order of `product_ids`, and checks the file before it appears.

    Args:
      path: `.csv`, or `.csv.gz` for a compressed file.
      product_ids: int64 [n], in any order.
      category_ids: int64 [n].

    Returns:
      The SHA-256 of the file.

    Raises:
      SubmissionError: if a product appears twice, the disk is full, or the file read back differs.
    """
    path = check_output(path)
    order = np.argsort(product_ids, kind="stable")
    rows = np.stack([product_ids[order], category_ids[order]], axis=1)
    _check_unique(rows[:, 0])
    try:
        return _write_and_check(path, rows)
    except OSError as error:
        kept = (
            f"the previous submission is unchanged: {path}" if path.exists() else "there is no file"
        )
        raise SubmissionError(
            f"A submission must be written whole. Received: {error}; {kept}. Make room (or choose "
            "another --output) and start the same command again."
        ) from error


def _write_and_check(path: pathlib.Path, rows: np.ndarray) -> str:
    compressed = path.name.endswith(".gz")
    with whole_file(path) as file:
        if compressed:
            # The header has no name and no time: equal predictions give equal bytes.
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                _write_rows(packed, rows)
        else:
            _write_rows(file, rows)
        file.flush()
        _check_written(pathlib.Path(file.name), compressed, rows)
        # Not of `path` afterwards: another command may replace it.
        return sha256_of(file.name)


def _write_rows(file: IO[bytes] | gzip.GzipFile, rows: np.ndarray) -> None:
    file.write(f"{HEADER}\n".encode())
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS].tolist()
        file.write("".join(f"{product},{category}\n" for product, category in part).encode())


def _check_written(path: pathlib.Path, compressed: bool, rows: np.ndarray) -> None:
    header, written = _read_csv(path, compressed)
    if header != HEADER or not np.array_equal(written, rows):
        raise SubmissionError(
            f"The submission read back from {path} is not what was written: {len(written)} rows of "
            f"{len(rows)}. The disk or the memory is faulty; no file was left behind."
        )


def _read_csv(path: pathlib.Path, compressed: bool) -> tuple[str, np.ndarray]:
    """Reads a file with two columns; returns its header and its rows, int64 [n, 2]."""
    with path.open("rb") as stored:
        with gzip.open(stored, "rb") if compressed else stored as file:
            with io.TextIOWrapper(file, "utf-8-sig") as text:
                header, body = text.readline().strip(), text.read()
    if not body:
        return header, np.zeros([0, 2], np.int64)
    rows = np.loadtxt(io.StringIO(body), dtype=np.int64, delimiter=",", ndmin=2, comments=None)
    if rows.shape[1] != 2:
        raise ValueError(f"it has {rows.shape[1]} columns.")
    return header, rows


def check_output(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns `path`; raises SubmissionError if no submission can be written there."""
    return checked_output(
        path,
        "A submission's name",
        (".csv", ".csv.gz"),
        SubmissionError,
        why=", which Kaggle goes by",
    )


def check_products(
    product_ids: np.ndarray, sample_submission: str | os.PathLike[str] | None
) -> None:
    """Checks the products of a split before prediction.

    Args:
      product_ids: int64 [n], in any order.
      sample_submission: the competition's sample_submission.csv (or .csv.gz), or None.

    Raises:
      SubmissionError: if an id appears twice, or the sample submission cannot be read, has other
        ids, or is not in ascending order.
    """
    ours = np.sort(product_ids)
    _check_unique(ours)
    if sample_submission is None:
        return
    path = path_of(sample_submission)
    if not path.is_file():
        raise SubmissionError(f"--sample_submission must be a file. Received: {path}.")
    try:
        header, rows = _read_csv(path, path.name.endswith(".gz"))
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise SubmissionError(
            f"A sample submission has the header {HEADER} and rows of two integers. {path} cannot "
            f"be read so: {error}"
        ) from error
    if header != HEADER:
        raise SubmissionError(
            f"A sample submission's first line must be {HEADER!r}. {path} has {header!r}."
        )
    theirs = rows[:, 0]
    if np.array_equal(ours, theirs):
        return
    missing, extra = np.setdiff1d(theirs, ours), np.setdiff1d(ours, theirs)
    if len(missing) or len(extra):
        raise SubmissionError(
            f"The split must have the products of {path}, {len(theirs)} of them. It has "
            f"{len(ours)}: {len(missing)} of the sample's are missing{_examples(missing)}, "
            f"{len(extra)} are not in the sample{_examples(extra)}. Build the data set from the "
            "same competition's test.bson."
        )
    raise SubmissionError(
        f"A sample submission lists each product once, in ascending _id. {path} does not."
    )


def _examples(ids: np.ndarray) -> str:
    return f" (e.g. {', '.join(map(str, ids[:3]))})" if len(ids) else ""


def _check_unique(ascending_ids: np.ndarray) -> None:
    twice = ascending_ids[1:][np.diff(ascending_ids) == 0]
    if len(twice):
        raise SubmissionError(
            "A submission has one row a product. The split has more than one product with _id "
            f"{', '.join(map(str, np.unique(twice)[:3]))}. Choose a --split that names no product "
            "twice."
        )


def predict_categories(source: Source, split: Split, known: np.ndarray | None = None) -> np.ndarray:
    """The category id of each product in the split: int64 [products], in order.

    Args:
      source: what predicts.
      split: the products.
      known: int32 [products], the class that known pictures name, or -1 for the most probable one.

    Raises:
      SubmissionError: if the run does not tell categories apart, or a product got no prediction.
    """
    label_map = source.label_map
    require_all_categories(label_map)
    predicted = np.full(split.num_products, -1, np.int32)
    done = 0
    line = ProgressLine(f"predicting {split.spec}", split.num_products, "products")
    for batch in source.predict(split):
        if np.any(predicted[batch.ordinals] >= 0):
            raise SubmissionError("A product was predicted twice. Nothing was written.")
        predicted[batch.ordinals] = batch.probabilities.argmax(axis=1)
        done += len(batch.ordinals)
        line.update(done)
    line.close()
    if np.any(predicted < 0):
        raise SubmissionError(
            f"Every product needs a prediction. {int((predicted < 0).sum())} of "
            f"{split.num_products} got none. Nothing was written."
        )
    if known is not None:
        predicted = np.where(known >= 0, known, predicted)
    return label_map.categories.category_ids[label_map.category_of_class[predicted]]


def require_all_categories(label_map: LabelMap) -> None:
    """Raises SubmissionError unless a run's classes are all the categories."""
    received = f"target={label_map.target}"
    if label_map.within_level1 is not None:
        received += f" within level-1 category {label_map.within_level1}"
    elif label_map.target == "category":
        return
    raise SubmissionError(
        "A submission needs a run that tells all categories apart (--target=category, or a "
        f"two-stage run). This one has {received}."
    )


def submit(
    run_dir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    split: str = "test",
    sample_submission: str | os.PathLike[str] | None = None,
    options: PredictionOptions | None = None,
) -> int:
    """Writes the submission of the run in a folder, as `submit_runs`."""
    return submit_runs(
        RunSelection(run_dir=os.fspath(run_dir)),
        output,
        split=split,
        sample_submission=sample_submission,
        options=options,
    )


def submit_runs(
    selection: RunSelection,
    output: str | os.PathLike[str],
    *,
    split: str = "test",
    sample_submission: str | os.PathLike[str] | None = None,
    options: PredictionOptions | None = None,
    workers: Workers = ALONE,
) -> int:
    """Predicts a split and writes the submission, and OUTPUT.made_from.json beside it.

    Args:
      selection: the run, or several together.
      output: the file, as in `check_output`.
      split: TFDS sub-split.
      sample_submission: the competition's file, which must have the same products as the split.
      options: prediction options; default: the default of each option.
      workers: those that share the predictions; the chief alone writes the files.

    Returns:
      The number of rows.

    Raises:
      SubmissionError: if the runs, the split or the file cannot make a submission.
      OptionError, MixtureError: if the runs cannot predict together.
      KnownPicturesError: as in `known_classes`.
      WorkersError, Preempted: as in `evaluate_runs`.
    """
    # Check everything possible before the long work.
    workers.from_chief(lambda: str(check_output(output)))
    runs, options = selected_folders(selection), options or PredictionOptions()
    views = options.views
    require_all_categories(runs[0].label_map)
    data = open_dataset(options.data_dir or runs[0].config.data_dir)
    products = data.split(split)
    require_alike(workers, selection, options, runs, products)
    check_products(products.index.product_id, sample_submission)
    decoder = resolve_decoder(options.decoder)  # before the network takes the GPU's memory
    logging.info("Pictures are decoded by %s.", {"tf": "TensorFlow", "dali": "DALI"}[decoder])
    trained = TrainedProducts.of(runs, data) if options.known_pictures else None
    known = known_classes(products, trained, runs[0].label_map) if options.known_pictures else None
    selected = select_runs(selection, runs, data, options, decoder, workers)
    category_ids = predict_categories(selected.source, products, known)
    if not workers.is_chief:
        return products.num_products
    digest = write_submission(output, products.index.product_id, category_ids)
    write_made_from(
        path_of(output),
        selected.made_from
        | {
            "file_sha256": digest,  # a kill before this line leaves the previous file's
            "split": split,
            "data_digest": products.index.digest,
            "decoder": decoder,
            "known_pictures": None if known is None else int((known >= 0).sum()),
            **dataclasses.asdict(views),
        },
    )
    return products.num_products
