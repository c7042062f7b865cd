"""A worker that trains several runs together with others, each a process of this machine.

    TF_CONFIG=... python -m tests.helpers.two_workers FOLDER

Starting TensorFlow takes longer than these runs, so one pair of workers does them all. It writes
runs to FOLDER: `two`, and `whole` and `resumed` (killed twice in `resumed`). What the workers saw
goes to FOLDER/seen-INDEX.json.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.cluster.environment import cluster_of
from trainer.cluster.workers import Workers, WorkersError, join
from trainer.models.batch_norms import synchronize
from trainer.models.objective import Objective
from trainer.settings.config import Config
from trainer.training.step import TrainStep
from trainer.training.train import train

KILLS = (8, 21)  # calls of the hook


def plain_config() -> Config:
    """A run that draws nothing that depends on the number of workers."""
    return small_config(
        model="solution1_1",
        batch_size=7,
        learning_rate=0.003,
        optimizer="sgd",
        epochs=2,
        dropout=0.0,
        ema_momentum=0.9,
        lanes=2,
        augment="flip_shift",
        mixup=0.2,
        pseudo_label_split="unlabelled",
        pseudo_label_after=1,
    )


def make_data(folder: pathlib.Path) -> SmallData:
    """A data set of 60 and 18 products, and 11 without labels."""
    folder.mkdir()
    data = SmallData(folder)
    data.add("train", make_products(np.arange(60) % 6), shards=3)
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    unlabelled = make_products(np.arange(11) % 6, seed=2, first_id=2000, unlabelled=True)
    data.add("unlabelled", unlabelled)
    return data


def statistics(workers: Workers, synchronized: bool) -> list[list[float]]:
    """The moving statistics of a BatchNorm on each worker, after three steps on its own numbers."""
    assert workers.strategy is not None
    index = workers.this.index
    keras.utils.set_random_seed(1)
    with workers.strategy.scope():
        norm = keras.layers.BatchNormalization(momentum=0.5)
        model = keras.Sequential([keras.Input([2]), norm, keras.layers.Dense(2)])
        if synchronized:
            synchronize(model)
        optimizer = keras.optimizers.SGD(0.1)
    step = TrainStep(model, optimizer, Objective(), workers.strategy)
    inputs = np.arange(8, dtype=np.float32).reshape([4, 2]) + 10 * index
    batch = inputs, np.array([0, 1, 0, 1], np.int32), np.ones(4, np.float32)
    batches = step.iterator(tf.data.Dataset.from_tensors(batch).repeat())
    for _ in range(3):
        step(batches)
    moving = [*norm.moving_mean.numpy().tolist(), *norm.moving_variance.numpy().tolist()]
    return [json.loads(text) for text in workers.gather(json.dumps(moving))]


def exchanges(workers: Workers) -> dict[str, object]:
    """What comes out of each kind of exchange."""
    index = workers.this.index
    with contextlib.suppress(ZeroDivisionError):
        try:
            workers.from_chief(lambda: str(1 / 0))
        except WorkersError as error:
            failed = str(error)
    try:
        workers.require_no_problem("it is cold" if index else "")
    except WorkersError as error:
        problem = str(error)
    return {
        "sums": workers.sums(np.array([index, 1.0])).tolist(),
        "texts": workers.gather("é" * 1500 * index),
        "any": [workers.any(index == 1), workers.any(False)],
        "of_chief": [workers.of_chief(index == 1), workers.of_chief(index == 0)],
        "from_chief": workers.from_chief(lambda: f"from {index}"),
        "failed": failed if index else "",
        "problem": problem,
    }


def main(folder: pathlib.Path) -> None:
    workers = join(cluster_of(), 600)
    index = workers.this.index
    seen = exchanges(workers)
    seen["statistics"] = [statistics(workers, False), statistics(workers, True)]
    data = make_data(folder / f"data-{index}")
    train(plain_config(), folder / "two", data, workers=workers)
    changes = {"dropout": 0.3, "optimizer": "adam", "checkpoint_steps": 3}
    random = small_config(model="solution1_1", batch_size=7, epochs=2, lanes=2, **changes)
    train(random, folder / "whole", data, workers=workers)
    for call in KILLS:
        with contextlib.suppress(Killed):
            train(random, folder / "resumed", data, hooks=[KillAt(call)], workers=workers)
    train(random, folder / "resumed", data, workers=workers)
    (folder / f"seen-{index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
