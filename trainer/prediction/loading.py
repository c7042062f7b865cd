"""Loads the network of a run, plain or two-stage, for prediction."""

from __future__ import annotations

import keras
import numpy as np

from cdisc_tfds.storage import local_copy
from trainer.data.dataset import CdiscountData
from trainer.models.fusion import build_fusion
from trainer.models.joined import join_networks
from trainer.models.network_table import MODELS
from trainer.models.networks import build_model
from trainer.models.precision import resolve_precision
from trainer.prediction.predictor import Predictor
from trainer.prediction.priors import prior_of_run
from trainer.prediction.views import Views
from trainer.runs.checkpoint import CheckpointError, verified_path
from trainer.runs.folder import RunFolder, RunFolderError
from trainer.runs.run_weights import RunWeights
from trainer.runs.state import CHECKPOINTS
from trainer.runs.two_stage_file import TwoStageParts
from trainer.settings.config import Config


def load_predictor(
    run_dir: str | RunFolder,
    data: CdiscountData | None = None,
    *,
    checkpoint: str = "best",
    views: Views | None = None,
    temperature: float = 1.0,
    precision: str | None = None,
) -> Predictor:
    """Loads the network of a run, plain or two-stage, as a Predictor.

    Args:
      run_dir: the run's folder.
      data: the data set to predict, which must have the run's categories. Its training split gives
        the prior; None: a uniform prior.
      checkpoint: `best` (lowest validation loss) or `last` (last epoch).
      views: as in Predictor; default: the picture alone.
      temperature: as in Predictor.
      precision: dtype policy; default: float32 if the run was trained in it, else the fastest here.

    Raises:
      RunFolderError: if there is no run, or it has no finished epoch yet.
      CheckpointError: if the checkpoint's file is missing, damaged, or another network's.
      LabelMapError: if the data set's categories are not the run's.
    """
    run = RunFolder(run_dir) if not isinstance(run_dir, RunFolder) else run_dir
    config, label_map = run.config, run.label_map
    prior = None
    if data is not None:
        run.require_categories(data.categories)
        prior = prior_of_run(data, config, label_map)
    _require_pictures(run)
    network, weights = load_network_of(run, checkpoint, precision)
    return Predictor(
        network,
        label_map,
        image_size=config.image_size,
        views=views or Views(),
        temperature=temperature,
        prior=prior,
        weights=weights,
    )


def load_network(
    run: RunFolder, checkpoint: str = "best", precision: str | None = None
) -> keras.Model:
    """Loads a checkpoint's network: uint8 pictures -> float32 logits of the run's classes.

    Arguments and errors as in `load_predictor`.
    """
    _require_pictures(run)
    return load_network_of(run, checkpoint, precision)[0]


def load_network_of(
    run: RunFolder, checkpoint: str, precision: str | None = None
) -> tuple[keras.Model, RunWeights]:
    """Loads the network of any run, also of a fused one, and returns the weights that it has.

    A run that is still training may replace its weights meanwhile; this then loads the new ones.
    """
    _require_loadable(run, checkpoint)
    before = RunWeights.of(run, checkpoint)
    while True:
        try:
            network = _load(run, checkpoint, precision)
        except (CheckpointError, OSError):
            after = RunWeights.of(run, checkpoint)
            if after == before:
                raise
        else:
            after = RunWeights.of(run, checkpoint)
            if before is not None and after == before:
                return network, before
        before = after


def _require_pictures(run: RunFolder) -> None:
    if run.config.fusion is not None:
        raise RunFolderError(
            f"{run.path} is a fused run: its network takes the features of other runs, not "
            "pictures. Predict with `trainer.prediction.fused_source.open_source`."
        )


def _require_loadable(run: RunFolder, checkpoint: str) -> None:
    if checkpoint not in CHECKPOINTS:
        raise CheckpointError(
            f"--checkpoint must be one of {', '.join(CHECKPOINTS)}. Received: {checkpoint!r}."
        )
    require_both_stages(run)


def _load(run: RunFolder, checkpoint: str, precision: str | None) -> keras.Model:
    if run.is_two_stage:
        return _load_two_stage(run, checkpoint, precision)
    file = run.state.weights(checkpoint)
    if file is None:
        command = "main" if run.config.fusion is None else "fuse"
        raise RunFolderError(
            f"{run.path} has no finished epoch yet. Start `python -m trainer.{command}` again with "
            "the same flags and this --run_dir."
        )
    path = verified_path(run.checkpoints, file)
    model = _untrained_network(run.config, run.label_map.num_classes, precision)
    try:
        with local_copy(path) as copy:
            model.load_weights(copy)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"A checkpoint must hold the weights of its run's network. {path} holds those of "
            f"another than --model={run.config.model} with {run.label_map.num_classes} classes, "
            "which config.json names. Restore the run's folder."
        ) from error
    return model


def inference_precision(config: Config) -> str:
    """The dtype policy to predict in: float32 if the run was trained in it, else the fastest."""
    # This machine may only emulate the training machine's 16-bit arithmetic, which is slow.
    if config.precision == "float32":
        return "float32"
    return resolve_precision(depthwise=MODELS[config.model].depthwise)


def require_both_stages(run: RunFolder) -> None:
    """Raises RunFolderError for a two-stage run that is not finished."""
    if run.level1_path.exists() and not run.is_two_stage:
        raise RunFolderError(
            f"{run.path} is a two-stage run that is not finished. Start `python -m "
            "trainer.two_stage` again with the same flags and this --run_dir."
        )


def _untrained_network(config: Config, num_classes: int, precision: str | None) -> keras.Model:
    if config.fusion is not None:
        return untrained_fusion(config, num_classes)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision or inference_precision(config))
    try:
        return build_model(
            config.model,
            num_classes,
            image_size=config.image_size,
            input_range=config.input_range,
            weights="none",  # the checkpoint's weights follow
            dropout=config.dropout,
            seed=config.seed,
        )
    finally:
        keras.config.set_dtype_policy(before)


def untrained_fusion(config: Config, num_classes: int) -> keras.Model:
    """The network of a fused run, with new weights."""
    fusion = config.fusion
    assert fusion is not None and config.dropout is not None
    return build_fusion(
        fusion.size,
        num_classes,
        units=fusion.units,
        join=fusion.join,
        dropout=config.dropout,
        seed=config.seed,
    )


def _load_two_stage(run: RunFolder, checkpoint: str, precision: str | None) -> keras.Model:
    """Joins the networks that `trainer.two_stage` lists in two_stage.json."""
    parts = TwoStageParts.read(run)
    categories = run.label_map.categories

    def part(folder: str, target: tuple[str, int | None]) -> keras.Model:
        part_of_run = RunFolder(run.path / folder)
        part_of_run.require_categories(categories)
        config = part_of_run.config
        if (config.target, config.within_level1) != target:
            raise RunFolderError(
                f"two_stage.json names {part_of_run.path} for another part of the two-stage run "
                "than its config.json says. Restore the run's folder."
            )
        return _load(part_of_run, checkpoint, precision)

    return join_networks(
        part(parts.level1, ("level1", None)),
        {label: part(folder, ("category", label)) for label, folder in parts.specialists.items()},
        {label: np.asarray(prior) for label, prior in parts.priors.items()},
        categories.level1,
    )
