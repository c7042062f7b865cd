"""What a checkpoint costs: seconds of one, and its share of the training time at the default.

    python -m benchmarks.checkpoint

For the study's network and for InceptionV3 with all layers, both with Adam and the competition's
5270 classes. A checkpoint is every variable of the network and the optimizer, written, synced and
digested; at the end of an epoch the averaged or trained weights are written as well.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from trainer.models.losses import SparseCrossentropy
from trainer.models.networks import build_model
from trainer.runs.checkpoint import CheckpointStore, save_weights, training_variables
from trainer.runs.folder import RunFolder
from trainer.settings.config import Config

CLASSES = 5270
_TIMES = 5
_ENTRY = {"finished": False, "stage": 0, "epoch": 0, "best": None, "last": None}


def trained_model(name: str, image_size: int):
    """A network that has taken one step, so that all its variables exist."""
    model = build_model(name, CLASSES, image_size=image_size, weights="none")
    model.compile(optimizer="adam", loss=SparseCrossentropy())
    pictures = np.zeros([1, image_size, image_size, 3], np.uint8)
    model.fit(pictures, np.zeros([1], np.int32), verbose=0)
    return model


def measure(name: str, image_size: int, folder: pathlib.Path) -> str:
    """One line of the table."""
    model = trained_model(name, image_size)
    store = CheckpointStore(RunFolder(folder))
    variables = training_variables(model)
    states, weights = [], []
    for step in range(_TIMES):
        started = time.perf_counter()
        store.commit(_ENTRY | {"step": step}, variables)
        states.append(time.perf_counter() - started)
        started = time.perf_counter()
        save_weights(model, store.weights_path(step))
        weights.append(time.perf_counter() - started)
    size = sum(variable.numpy().nbytes for variable in variables)
    seconds = statistics.median(states)
    share = seconds / (60 * Config().checkpoint_minutes)
    return (
        f"{name:10} {image_size:4} px {size / 1e6:7.0f} MB  checkpoint {seconds:6.2f} s "
        f"({min(states):.2f} to {max(states):.2f}) = {share:.2%} of "
        f"{Config().checkpoint_minutes:g} minutes; "
        f"weights of an epoch {statistics.median(weights):6.2f} s"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for name, image_size in (("cnn", 180), ("inception", 180)):
            print(measure(name, image_size, pathlib.Path(folder) / name), flush=True)


if __name__ == "__main__":
    main()
