"""Opens the folder of a run: creates it, or checks that it holds the same run."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from cdisc_tfds.built_dataset import DatasetError
from cdisc_tfds.file_lock import locked
from cdisc_tfds.whole_files import can_create, whole_file, write_json
from trainer.data.dataset import CdiscountData
from trainer.data.decoding import resolve_decoder
from trainer.data.label_map import LabelMap
from trainer.runs.folder import RunFolder, RunFolderError, settings_digest
from trainer.runs.state import Checkpoint, DataIdentity
from trainer.settings.config import Config, ConfigError
from trainer.terminal import keras_settings


@contextlib.contextmanager
def sole_writer(run: RunFolder) -> Iterator[None]:
    """Keeps other processes from training in a run's folder; creates the folder if needed.

    Raises:
      RunFolderError: if another process trains there, the folder holds other files, or it cannot
        be written to.
    """
    if not can_create(run.lock_path):
        raise RunFolderError(
            "--run_dir must be a folder that can be written to, or a new one within such a folder. "
            f"Received: {run.path}."
        )
    begun = run.categories_path.exists() or run.config_path.exists() or run.has_state
    if not begun and run.path.exists() and any(_others(run)):
        raise RunFolderError(
            f"--run_dir must be a new or empty folder, or a run to continue. Received: {run.path}, "
            "which holds other files."
        )
    run.path.mkdir(parents=True, exist_ok=True)
    busy = RunFolderError(
        f"One process at a time may train in a run's folder. Another one is training in {run.path} "
        "(it may be suspended). Wait for it or stop it, or choose another --run_dir."
    )
    with locked(run.lock_path, busy):
        yield


def _others(run: RunFolder) -> Iterator[os.PathLike[str]]:
    """The folder's files, except a lock or partial files, which a killed command may leave."""
    return (
        path
        for path in run.path.iterdir()
        if path != run.lock_path and not path.name.endswith(".partial")
    )


def open_run_folder(
    config: Config, run_dir: str | os.PathLike[str], data: CdiscountData
) -> RunFolder:
    """Creates the run's folder, or checks that `config` may continue the run in it.

    The config in the folder always names the actual decoder, never `auto`.

    Raises:
      ConfigError: if the folder holds a run with other settings.
      LabelMapError: if it holds a run on other categories.
    """
    run = RunFolder(run_dir)
    config = _with_decoder(config, run)
    if run.has_state and not run.config_path.exists():
        _restore_config(run, config)
    # Without label_map.json, creating the folder was interrupted, unless training has begun.
    if run.config_path.exists() and (run.label_map_path.exists() or run.has_state):
        _require_same_settings(run, config)
        if not run.label_map_path.exists():  # lost; rebuilt from the run's own categories
            _write_label_map(run, LabelMap(run.own_categories, config.target, config.within_level1))
        run.require_categories(data.categories)
    else:
        run.path.mkdir(parents=True, exist_ok=True)
        with whole_file(run.categories_path) as categories:
            categories.write(data.categories_path.read_bytes())
    _write_config(run, config)
    write_json(run.environment_path, _environment())
    _write_label_map(run, LabelMap(data.categories, config.target, config.within_level1))
    return run


def _restore_config(run: RunFolder, config: Config) -> None:
    """Writes a lost config.json, if `config` has the settings that the run was trained with.

    Raises:
      ConfigError: if it has other settings, or version 0.1 trained the run, which kept no digest.
    """
    if run.state.settings_sha256 != settings_digest(config):
        raise ConfigError(
            "A run can only be continued with the settings that it was started with. "
            f"{run.config_path} is missing, and the given settings are not those (their digest "
            "differs from the one in state.json). Give the run's own settings, restore the file, "
            "or choose another --run_dir."
        )
    _write_config(run, config)


def _write_config(run: RunFolder, config: Config) -> None:
    with whole_file(run.config_path, "w", encoding="utf-8") as file:
        file.write(config.to_json())


def _write_label_map(run: RunFolder, label_map: LabelMap) -> None:
    write_json(
        run.label_map_path,
        {
            "target": label_map.target,
            "within_level1": label_map.within_level1,
            "num_classes": label_map.num_classes,
            "digest": label_map.digest,
        },
    )


def require_same_data(run: RunFolder, identity: DataIdentity) -> None:
    """Raises DatasetError if the run started on other data than `identity`."""
    begun = run.state.data if run.has_state else None
    if begun is None:  # a new run, or one from a version that did not record it
        return
    differing = [
        f"--{name}_split"
        for name in ("train", "validation")
        if getattr(begun, name) != getattr(identity, name)
    ]
    if differing:
        raise DatasetError(
            f"A run continues on the products that it was begun with. {run.path} was begun on a "
            f"data set that has other products, pictures or categories in {' and '.join(differing)}"
            ": products trained on could turn up in validation. Choose the data set that the run "
            "was trained on with --data_dir, or another --run_dir."
        )


def require_same_machines(
    run: RunFolder, config: Config, checkpoint: Checkpoint, machines: int
) -> None:
    """Raises ConfigError if a run would go on with another number of machines unasked."""
    if checkpoint.training_state is None or checkpoint.workers == machines:
        return
    if not config.allow_other_machines:
        raise ConfigError(
            f"A run continues on as many machines as it was trained on. {run.path} was trained on "
            f"{checkpoint.workers} so far, and is to go on with {machines}. Use as many as before, "
            "or add --allow_other_machines: the run then sees the same pictures, but is no longer "
            "bit for bit an undisturbed one."
        )
    logging.warning(
        "The run goes on with %d machines, after %d: it sees the same pictures, but its numbers "
        "are not bit for bit those of an undisturbed run.",
        machines,
        checkpoint.workers,
    )


def require_known_averages(run: RunFolder, config: Config) -> None:
    """Raises RunFolderError for averaged weights that version 0.1 stored in another order."""
    if config.ema_momentum and run.has_state and run.state.format == 1:
        raise RunFolderError(
            f"{run.path} was begun by version 0.1 of the project with --ema_momentum. That version "
            "kept the averaged weights in another order, so this one cannot continue the run (it "
            "evaluates and submits it). Finish it with version 0.1, or choose another --run_dir."
        )


def _with_decoder(config: Config, run: RunFolder) -> Config:
    """`config` with the decoder to use; for `auto`, the run's own, which this machine may lack.

    The pixels of the decoders differ by up to one level in places, so a run never changes its
    decoder on its own. A user may change it: DALI sometimes rejects a file that TensorFlow accepts.
    """
    saved = run.config.decoder if run.config_path.exists() else "auto"
    decoder = resolve_decoder(saved if config.decoder == "auto" else config.decoder)
    if saved not in ("auto", decoder):
        logging.warning(
            "--decoder=%s goes on where %s decoded so far: pixels may differ by a level, so the "
            "result is not exactly that of an undisturbed run.",
            decoder,
            saved,
        )
    return dataclasses.replace(config, decoder=decoder)


def _require_same_settings(run: RunFolder, config: Config) -> None:
    saved = run.config
    differences = saved.differences(config)
    if config.schedule != "constant" and saved.epochs != config.epochs:
        # The learning rate of a step depends on where the schedule ends.
        differences["epochs"] = (saved.epochs, config.epochs)
    if config.epochs < saved.epochs:
        differences["epochs"] = (saved.epochs, config.epochs)
    if differences:
        listed = "; ".join(
            f"--{name}: the run has {ours!r}, received {theirs!r}"
            for name, (ours, theirs) in differences.items()
        )
        raise ConfigError(
            f"A run can only be continued with the settings that it was started with. {run.path} "
            f"differs in {listed}. Give the run's own settings, or another --run_dir."
        )


def _environment() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_settings": keras_settings.REQUIRED,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
    }
