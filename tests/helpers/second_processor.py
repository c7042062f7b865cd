"""Trains with a second logical processor in place of a GPU.

    python -m tests.helpers.second_processor FOLDER

A separate program, because TensorFlow fixes the number of devices once per process. It writes runs
to FOLDER: `pipeline` (the random changes are made in the pipeline, as without a GPU), `device` (in
the step, as on a GPU), `dali` (likewise, decoded by DALI where installed), `several` (and several
steps per call, killed twice), `compiled`, `update` and `plain` (XLA compiles the step, the update,
nothing). Devices of tensors go to FOLDER/seen.json.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.helpers.killing import KillAt, Killed
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.training import devices, execution, feeds, training
from trainer.training.loop import run_steps
from trainer.training.train import train

DEVICE = "/device:CPU:1"


def use_accelerators(*names: str) -> None:
    """Makes the trainer take devices for GPUs."""
    for module in (devices, execution, feeds):
        module.accelerators = lambda: names


def devices_of_a_batch(config, folder: pathlib.Path, data: SmallData) -> dict[str, list[str]]:
    """The devices that hold the first batch of a run as its step receives it."""
    seen: dict[str, list[str]] = {}

    def look(step, batches, plan, hooks):
        batch = next(step.iterator(batches))
        seen["batch"] = sorted({tensor.device[-5:] for tensor in tf.nest.flatten(batch)})
        run_steps(step, batches, plan, hooks)

    training.run_steps = look
    try:
        train(config, folder, data)
    finally:
        training.run_steps = run_steps
    return seen


def main(folder: pathlib.Path) -> None:
    data = SmallData(folder)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(18) % 6, seed=1, first_id=1000))
    config = small_config(
        model="solution1_1",
        batch_size=7,
        learning_rate=0.003,
        epochs=2,
        augment="flip_shift",
        zoom=(0.7, 1.3),
        rotate=10.0,
        colour=0.2,
        rand_augment=1,
        erase=0.3,
        mixup=0.2,
        cutmix=1.0,
        recalibrate=2,
        xla="off",
    )
    use_accelerators()
    train(config, folder / "pipeline", data)
    use_accelerators(DEVICE)
    one = dataclasses.replace(config, steps_per_call=1)
    seen = devices_of_a_batch(one, folder / "device", data)
    several = dataclasses.replace(config, steps_per_call=4, checkpoint_steps=3)
    for call in (4, 6):
        with contextlib.suppress(Killed):
            train(several, folder / "several", data, hooks=[KillAt(call)])
    train(several, folder / "several", data)
    # XLA draws other numbers for dropout.
    for name, xla in (("compiled", "on"), ("update", "auto"), ("plain", "off")):
        train(dataclasses.replace(config, dropout=0.0, xla=xla), folder / name, data)
    if importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.dali_tf_plugin"):
        train(dataclasses.replace(one, decoder="dali"), folder / "dali", data)
    (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    [processor] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    main(pathlib.Path(sys.argv[1]))
