"""Checks that two runs are the same run."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import tensorflow as tf

from cdisc_tfds.storage import local_copy
from trainer.runs.folder import RunFolder
from trainer.runs.state import WeightsFile

_TIMINGS = ("pictures_per_second", "seconds")


def history_of(run: RunFolder) -> list[dict]:
    """The history without its times."""
    return [
        {name: value for name, value in dataclasses.asdict(row).items() if name not in _TIMINGS}
        for row in run.history
    ]


def curves_of(run: RunFolder) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Every scalar point: (curve, tag) -> [(step, value)], in TensorBoard's reading order."""
    curves = {}
    for path in sorted(run.tensorboard.rglob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    point = (event.step, float(tf.make_ndarray(value.tensor)))
                    curves.setdefault((path.parent.name, value.tag), []).append(point)
    return curves


def training_state_of(run: RunFolder) -> bytes:
    """All variables of the newest checkpoint."""
    state = run.state.newest.training_state
    return (run.checkpoints / state.file).read_bytes()


def assert_same_run(one: RunFolder, other: RunFolder) -> None:
    """Compares the variables bit by bit, the history, and TensorBoard's curves."""
    assert training_state_of(one) == training_state_of(other)
    assert history_of(one) == history_of(other)
    assert curves_of(one) == curves_of(other)
    for name in ("best", "last"):
        ours, theirs = (getattr(run.state, name) for run in (one, other))
        assert ours.epoch == theirs.epoch
        np.testing.assert_equal(weights_of(one, ours), weights_of(other, theirs))


def weights_of(run: RunFolder, weights: WeightsFile) -> dict[str, np.ndarray]:
    """The arrays of a weights file, by their path in the file."""
    arrays = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with local_copy(run.checkpoints / weights.file) as path, h5py.File(path) as file:
        file.visititems(take)
    return arrays
