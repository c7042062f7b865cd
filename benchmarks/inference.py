"""Compares evaluation and submission with the network's forward pass on data in memory.

    python -m benchmarks.inference [--networks=cnn,inception]

It measures the functions behind `trainer.evaluate` and `trainer.submit`, from the files of the data
set to the counts and the rows. It excludes the start of the commands and of their pipeline, which
does not grow with the data, by subtracting the time of a few pictures from that of many. The
weights come from one training step, because they do not affect the speed.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import train_with, training_config, training_data
from trainer.data.dataset import CdiscountData, Split
from trainer.data.decoding import resolve_decoder
from trainer.data.input_pipeline import inference_dataset
from trainer.prediction.evaluation import evaluate
from trainer.prediction.loading import load_predictor
from trainer.prediction.predictor import Predictor
from trainer.prediction.sources import NetworkSource
from trainer.prediction.submission import predict_categories, write_submission
from trainer.settings.config import Config

NETWORKS = ("cnn", "inception")
_TARGET = 0.95
_WHY_MISSED = (
    "without an accelerator the same cores decode and predict: what decoding takes of them is "
    "missing here, though its threads have a low priority"
)


def run(settings: Settings) -> list[Row]:
    """Two rows for each of NETWORKS in `settings.networks`."""
    data = training_data(settings)
    return [
        row for name in NETWORKS if name in settings.networks for row in _rows(settings, data, name)
    ]


def _rows(settings: Settings, data: CdiscountData, name: str) -> list[Row]:
    config = training_config(settings, data, name, epochs=1)
    batch_size = config.eval_batch_size
    decoder = resolve_decoder()  # before TensorFlow uses a GPU
    predictor = _trained(config, data)
    batch = next(
        iter(
            inference_dataset(
                data.split("test"),
                batch_size=batch_size,
                image_size=config.image_size,
                decoder=decoder,
            )
        )
    )["inputs"]

    def forward(batches: int) -> float:
        start = time.perf_counter()
        for _ in range(batches):
            predictor.probabilities(batch)
        return batches * len(batch) / (time.perf_counter() - start)

    forward(1)
    pictures = settings.seconds * forward(2)
    runs = {"forward": lambda: forward(max(2, round(pictures / len(batch))))}
    for kind, split, work in (("evaluation", "train", _evaluate), ("submission", "test", _submit)):
        # `few` is two batches; `many` has `pictures` more.
        few, many = (first_products(data, split, 2 * batch_size + more) for more in (0, pictures))
        work = functools.partial(work, predictor, batch_size, decoder)
        runs[kind] = functools.partial(_rate_beyond, work, few, many)
    for warm_up in runs.values():  # oneDNN prepares for each batch size, even the last
        warm_up()
    rates = take_turns(f"inference, {name}", runs, settings.repeats)
    rows = [
        compare(
            "inference",
            f"{kind} with {name} ({config.precision}, batch {batch_size})",
            "forward on a batch in memory",
            "pictures/s",
            rates[kind],
            rates["forward"],
            at_least=_TARGET,
        )
        for kind in ("evaluation", "submission")
    ]
    return [row if row.reached else dataclasses.replace(row, note=_WHY_MISSED) for row in rows]


def _trained(config: Config, data: CdiscountData) -> Predictor:
    """The predictor of a run of one step, loaded as the commands load it."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = pathlib.Path(folder) / "run"
        train_with(config, data, run_dir, lambda epoch: epoch.run(1))
        return load_predictor(run_dir, data)


def first_products(data: CdiscountData, split: str, pictures: float) -> Split:
    """The first products of a split with `pictures` pictures in total, or all products."""
    seen = np.cumsum(data.split(split).index.num_pictures)
    products = min(len(seen), 1 + int(np.searchsorted(seen, pictures)))
    return data.split(f"{split}[:{products}]")


def _rate_beyond(work: Callable[[Split], None], few: Split, many: Split) -> float:
    """Pictures per second of `work` on `many`, minus the pictures and the time of `few`."""
    start = time.perf_counter()
    work(few)
    between = time.perf_counter()
    work(many)
    end = time.perf_counter()
    return (many.num_pictures - few.num_pictures) / ((end - between) - (between - start))


def _evaluate(predictor: Predictor, batch_size: int, decoder: str, split: Split) -> None:
    evaluate(NetworkSource(predictor, batch_size, decoder), split)


def _submit(predictor: Predictor, batch_size: int, decoder: str, split: Split) -> None:
    categories = predict_categories(NetworkSource(predictor, batch_size, decoder), split)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "submission.csv.gz"
        write_submission(path, split.index.product_id, categories)


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="inference"))
