"""A command that trains on batches which do not fit in the device's memory.

    python -m tests.helpers.too_large FOLDER on|off

A GPU gets a limit of 1 GB, which one layer's outputs exceed; `on` or `off` is for XLA. Without a
GPU, a hook asks TensorFlow for more memory than a process can address.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from tests.helpers.killing import Do
from tests.helpers.small_data import SmallData, make_products, small_config
from trainer.terminal import command
from trainer.training.train import train


def main(words: list[str]) -> None:
    folder, xla = pathlib.Path(words[0]), words[1]
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=1024)
        tf.config.set_logical_device_configuration(gpus[0], [limit])
        tf.config.set_visible_devices(gpus[0], "GPU")
    data = SmallData(folder)
    data.add("train", make_products(np.arange(60) % 6))
    data.add("validation", make_products(np.arange(12) % 6, seed=1, first_id=1000))
    # The outputs of the first layer: 64 x 253 x 253 x 100 numbers of 4 bytes are 1.6 GB.
    network = {"model": "cnn", "image_size": 256} if gpus else {}
    # XLA has no deterministic gradient of a MaxPool.
    config = small_config(**network, batch_size=64, xla=xla, deterministic=xla == "off")
    hooks = [] if gpus else [Do(lambda place: tf.zeros([1 << 30, 1 << 20]))]
    train(config, folder / "run", data, hooks=hooks)


if __name__ == "__main__":
    command.run(main, arguments="FOLDER, and on or off")
