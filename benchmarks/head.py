"""Compares training the head of a pretrained network with cached and with recomputed features.

    python -m benchmarks.head [--weights=FILE] [--head_products=1000]

Two trainings differ only in --cache_features. The rows compare the times of whole epochs in the
runs' histories, with validation and checkpoint, from the second epoch on; and the accuracies of the
networks. Without --weights the base is random. That does not affect the speed, but a network learns
little from such features, so the benchmark then skips the accuracies.
"""

from __future__ import annotations

import math
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

import keras

from benchmarks.measure import say
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from benchmarks.training import training_config, training_data
from trainer.data.dataset import CdiscountData
from trainer.runs.state import EpochRow
from trainer.training.train import train

NETWORK = "inception"
_FASTER = 20
_PEER = "features computed again each epoch"
_WITHOUT_WEIGHTS = (
    "not measured: needs --weights=FILE (or imagenet). Behind a random base, chance would be "
    "compared with chance"
)


def run(settings: Settings) -> list[Row]:
    """Two rows: time of an epoch, accuracy; no rows if `settings.networks` lacks NETWORK."""
    if NETWORK not in settings.networks:
        return []
    data = training_data(settings)
    cached, cached_seconds = _trained(settings, data, cache_features=True)
    plain, plain_seconds = _trained(settings, data, cache_features=False)
    splits = _splits(settings)
    pictures = data.split(splits["train_split"]).num_pictures
    return [
        compare(
            "head",
            f"epochs after the first, {NETWORK}, {pictures:,} pictures",
            _PEER,
            "epochs/min",
            [60 / row.seconds for row in cached[1:]],
            [60 / row.seconds for row in plain[1:]],
            at_least=_FASTER,
            note=(
                f"{_median(cached):.2f} s an epoch against {_median(plain):.2f} s, with validation "
                f"and checkpoint. All {len(cached)} epochs with the start, the tracing and the "
                f"computing of the features took {cached_seconds:.1f} s against "
                f"{plain_seconds:.1f} s"
            ),
        ),
        _accuracy_row(settings, data, cached, plain),
    ]


def _accuracy_row(
    settings: Settings, data: CdiscountData, cached: Sequence[EpochRow], plain: Sequence[EpochRow]
) -> Row:
    what = f"validation accuracy by picture after {len(cached)} epochs"
    if settings.weights == "none":
        return Row("head", what, _PEER, note=_WITHOUT_WEIGHTS)
    ours, theirs = (history[-1].val_accuracy for history in (cached, plain))
    noise = _noise(theirs, data.split(_splits(settings)["validation_split"]).num_pictures)
    return Row(
        "head",
        what,
        _PEER,
        "",
        ours,
        theirs,
        ours / theirs if theirs else None,
        at_least=1 - noise,
        note="the target is two standard errors of so few pictures",
    )


def _noise(accuracy: float, pictures: int) -> float:
    """Two standard errors of the ratio of two accuracies, each over `pictures` pictures."""
    variance = max(accuracy * (1 - accuracy), 1 / pictures) / pictures
    return round(min(1.0, 2 * math.sqrt(2 * variance) / max(accuracy, 1 / pictures)), 3)


def _median(history: Sequence[EpochRow]) -> float:
    return statistics.median(row.seconds for row in history[1:])


def _splits(settings: Settings) -> dict[str, str]:
    """The data set's first products: six for training to one for validation."""
    train_end = settings.head_products
    end = train_end + max(1, train_end // 6)
    return {
        "train_split": f"train[:{train_end}]",
        "validation_split": f"train[{train_end}:{end}]",
    }


def _trained(
    settings: Settings, data: CdiscountData, cache_features: bool
) -> tuple[Sequence[EpochRow], float]:
    """The run's history, and its total seconds."""
    config = training_config(
        settings,
        data,
        NETWORK,
        trainable="head",
        cache_features=cache_features,
        weights=settings.weights,
        augment="none",
        epochs=settings.repeats + 1,
        **_splits(settings),
    )
    kept = "with" if cache_features else "without"
    say(f"head: {config.epochs} epochs {kept} cached features")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        history = train(config, pathlib.Path(folder) / "run", data).history
    seconds = time.perf_counter() - start
    keras.backend.clear_session()
    return history, seconds


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="head"))
