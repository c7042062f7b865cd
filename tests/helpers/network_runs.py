"""Writes folders of finished runs with untrained networks."""

from __future__ import annotations

import dataclasses
import pathlib

import keras

from cdisc_tfds.whole_files import write_json
from tests.helpers.small_data import SIZE, SmallData, small_config
from trainer.data.label_map import LabelMap
from trainer.models.networks import build_model
from trainer.runs.checkpoint import save_weights
from trainer.runs.folder import RunFolder
from trainer.runs.state import Checkpoint, RunState, WeightsFile


def write_network_run(
    path: pathlib.Path,
    data: SmallData,
    *,
    best: keras.Model | None = None,
    last: keras.Model | None = None,
    **changes,
) -> RunFolder:
    """Writes a finished run of two epochs, of `small_config` with `changes`.

    Args:
      path: folder of the run.
      data: the data set; its categories are the classes.
      best: network of the first epoch; default: a new one.
      last: network of the second epoch; default: `best`.
    """
    run, config = RunFolder(path), small_config(**changes)
    run.checkpoints.mkdir(parents=True)
    run.config_path.write_text(config.to_json())
    run.categories_path.write_bytes(data.categories_path.read_bytes())
    label_map = LabelMap(data.categories, config.target, config.within_level1)
    write_json(run.label_map_path, {"digest": label_map.digest})
    best = best or build_model("logistic", label_map.num_classes, image_size=SIZE)
    write_state(run, best, last or best)
    return run


def write_state(run: RunFolder, best: keras.Model, last: keras.Model | None) -> None:
    """Writes the run's state.json, and the weights that it names."""
    entry = Checkpoint(
        finished=True,
        best=_saved(run, "best", best, 0),
        last=None if last is None else _saved(run, "last", last, 1),
    )
    run.state_path.write_text(RunState((entry,)).to_json())


def _saved(run: RunFolder, name: str, network: keras.Model, epoch: int) -> WeightsFile:
    file = save_weights(network, run.checkpoints / f"{name}.weights.h5")
    return WeightsFile(**dataclasses.asdict(file), epoch=epoch, val_loss=1.0)
