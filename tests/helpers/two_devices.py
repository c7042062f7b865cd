"""Trains on two devices, both of them the processor, or with GPU on two GPUs.

    python -m tests.helpers.two_devices FOLDER [GPU]

This is a separate program, because TensorFlow fixes the number of devices once per process, before
it does anything else. It writes runs to FOLDER: `one` and `two` (the same run on one and on two
devices), and `whole` and `resumed` (two devices; killed twice in `resumed`). Other observations go
to FOLDER/seen.json.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.models.metrics import FirstNonFiniteStep
from trainer.training import devices
from trainer.training.train import train

KIND = "".join(sys.argv[2:]) or "CPU"
NAMES = [f"{KIND}:0", f"{KIND}:1"]


def on_devices(count: int) -> None:
    """Makes training use `count` devices."""
    devices.choose_strategy = lambda: choose_strategy(NAMES[:count])


def first_nonfinite_steps(strategy: tf.distribute.Strategy) -> list[float]:
    """The metric's results after each of 4 steps and after a reset.

    From the third step on, the outputs of one device contain NaN.
    """
    with strategy.scope():
        metric = FirstNonFiniteStep()

    @tf.function
    def step(outputs):
        strategy.run(lambda part: metric.update_state(None, part), args=(outputs,))

    results = []
    for number in range(4):
        outputs = strategy.experimental_distribute_values_from_function(
            lambda context, number=number: tf.constant(
                [1.0, np.nan if number >= 2 and context.replica_id_in_sync_group else 2.0]
            )
        )
        step(outputs)
        results.append(float(metric.result()))
    metric.reset_state()
    return [*results, float(metric.result())]


def main(folder: pathlib.Path) -> None:
    data = SmallData(folder)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    pictures = data.split("train").num_pictures
    settings = {"model": "solution1_1", "batch_size": 7, "learning_rate": 0.03, "epochs": 2}
    plain = small_config(
        **settings | {"learning_rate": 0.003}, optimizer="sgd", ema_momentum=0.9, dropout=0.0
    )
    for count, name in ((1, "one"), (2, "two")):
        on_devices(count)
        train(plain, folder / name, data)
    changes = {"augment": "flip_shift", "dropout": 0.3, "checkpoint_steps": 3}
    random = small_config(**settings, **changes, ema_momentum=0.9)
    train(random, folder / "whole", data)
    for call in (8, 30):
        with contextlib.suppress(Killed):
            train(random, folder / "resumed", data, hooks=[KillAt(call)])
    train(random, folder / "resumed", data)
    seen = {
        "last_batch": pictures % 7,
        "replicas": choose_strategy(NAMES).num_replicas_in_sync,
        "alone": type(choose_strategy(NAMES[:1])).__name__,
        "first_nonfinite_steps": first_nonfinite_steps(choose_strategy(NAMES)),
    }
    (folder / "seen.json").write_text(json.dumps(seen))


choose_strategy = devices.choose_strategy

if __name__ == "__main__":
    if KIND == "CPU":
        [processor] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    main(pathlib.Path(sys.argv[1]))
