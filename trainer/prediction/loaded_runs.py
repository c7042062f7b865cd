"""Runs in memory that predict pictures in memory, of products that no data set holds.

    runs = load_runs(selection, options, mean="arithmetic")
    batch = runs.predict({180: pictures}, ordinals)

The probabilities are those that evaluation, submission and the SavedModel give to the same
pictures: the networks, the rules and the temperatures are the same code. Nothing here reads a data
set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from trainer.data.label_map import LabelMap
from trainer.prediction.averaging import ProductBatch, joined_batch
from trainer.prediction.fused_source import FUSED, FusedNetwork, load_fused
from trainer.prediction.loading import load_predictor
from trainer.prediction.mixture import mixed_batch
from trainer.prediction.options import NetworkOptions
from trainer.prediction.predictor import PredictionError, Predictor
from trainer.prediction.run_selection import FIT, RunSelection
from trainer.prediction.selected_runs import require_different, require_no_rule, selected_folders
from trainer.prediction.temperature import tempered
from trainer.runs.calibration_file import (
    CalibratedMethod,
    picture_temperature,
    read_calibrations,
)
from trainer.runs.folder import RunFolder
from trainer.runs.run_weights import RunWeights

# Pictures in each size that the networks take: size -> uint8 [m, size, size, 3].
PicturesBySize = Mapping[int, np.ndarray]


class LoadedRun(Protocol):
    """One run's networks in memory."""

    @property
    def weights(self) -> RunWeights | None:
        """The weights that its network has."""

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sizes of picture that its networks take, each once."""

    @property
    def mean(self) -> str:
        """What joins the pictures of a product."""

    @property
    def feature_weights(self) -> tuple[RunWeights, ...]:
        """The weights of each network that gives features of pictures; empty if none does."""

    def predict(self, pictures: PicturesBySize, ordinals: np.ndarray) -> ProductBatch:
        """As in LoadedRuns."""


@dataclasses.dataclass(frozen=True)
class LoadedNetwork:
    """A plain or two-stage run, which predicts picture by picture."""

    predictor: Predictor
    mean: str

    @property
    def weights(self) -> RunWeights | None:
        """As in LoadedRun."""
        return self.predictor.weights

    @property
    def label_map(self) -> LabelMap:
        """As in LoadedRun."""
        return self.predictor.label_map

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """As in LoadedRun."""
        return (self.predictor.image_size,)

    @property
    def feature_weights(self) -> tuple[RunWeights, ...]:
        """As in LoadedRun. The networks of a two-stage run see products differently."""
        weights = self.weights
        return () if weights is None or weights.epoch is None else (weights,)

    def predict(self, pictures: PicturesBySize, ordinals: np.ndarray) -> ProductBatch:
        """As in LoadedRuns."""
        images = tf.constant(pictures[self.predictor.image_size])
        return joined_batch(ordinals, self.predictor.probabilities(images), self.mean)


@dataclasses.dataclass(frozen=True)
class LoadedFusion:
    """A fused run, whose network takes all pictures of a product at once."""

    network: FusedNetwork
    mean: str = FUSED

    @property
    def weights(self) -> RunWeights | None:
        """As in LoadedRun."""
        return self.network.predictor.weights

    @property
    def label_map(self) -> LabelMap:
        """As in LoadedRun."""
        return self.network.predictor.label_map

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """As in LoadedRun."""
        return self.network.image_sizes

    @property
    def feature_weights(self) -> tuple[RunWeights, ...]:
        """As in LoadedRun."""
        return tuple(member.weights for member in self.network.members)

    def predict(self, pictures: PicturesBySize, ordinals: np.ndarray) -> ProductBatch:
        """As in LoadedRuns."""
        inputs = [tf.constant(pictures[size]) for size in self.image_sizes]
        return self.network.predictor.batch(ordinals, self.network.function(*inputs).numpy())


@dataclasses.dataclass(frozen=True)
class LoadedRuns:
    """One run, or the weighted mean of several, in memory.

    Attributes:
      members: the runs; they have the same classes.
      shares: the weight of each; they sum to 1.
      run_mean: how several are averaged, as in MixedSource.
      product_temperature, picture_temperature: of a single run's probabilities; None if they were
        not fitted.
    """

    members: tuple[LoadedRun, ...]
    shares: tuple[float, ...] = (1.0,)
    run_mean: str = "arithmetic"
    product_temperature: float | None = None
    picture_temperature: float | None = None

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""
        return self.members[0].label_map

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sizes of picture that the networks take, each once."""
        return tuple(dict.fromkeys(size for member in self.members for size in member.image_sizes))

    @property
    def takes_products(self) -> bool:
        """Whether a network needs all pictures of a product: a fused run is among the members."""
        return any(isinstance(member, LoadedFusion) for member in self.members)

    @property
    def made_from(self) -> list[dict[str, Any]]:
        """The weights, the share and the rule of each run, as JSON has them."""
        return [
            (dataclasses.asdict(member.weights) if member.weights is not None else {})
            | {"share": share, "mean": member.mean}
            for member, share in zip(self.members, self.shares, strict=True)
        ]

    def predict(self, pictures: PicturesBySize, ordinals: np.ndarray) -> ProductBatch:
        """Predicts products in one go, with their temperatures.

        Args:
          pictures: the same m pictures in each of `image_sizes`.
          ordinals: int64 [m], ascending from 0: the product of each picture.

        Returns:
          The products and their pictures.

        Raises:
          PredictionError: if a prediction is not finite.
        """
        return self.joined([member.predict(pictures, ordinals) for member in self.members])

    def joined(self, batches: Sequence[ProductBatch]) -> ProductBatch:
        """The members' predictions of the same products as one, with the temperatures."""
        if len(batches) == 1:
            (batch,) = batches
        else:
            batch = mixed_batch(batches, np.array(self.shares, np.float32), self.run_mean)
        return dataclasses.replace(
            batch,
            probabilities=tempered(batch.probabilities, self.product_temperature or 1),
            picture_probabilities=tempered(
                batch.picture_probabilities, self.picture_temperature or 1
            ),
        )


def load_runs(
    selection: RunSelection,
    options: NetworkOptions,
    mean: str,
    precision: str | None = None,
) -> LoadedRuns:
    """Loads the runs' networks; a single run gets its temperatures, if it has them.

    Args:
      selection: the runs.
      options: which weights, and the views of each picture.
      mean: the rule that joins the pictures of a product, one of `joining_rules.MEANS`.
      precision: dtype policy of the networks; default: that of evaluation, as in `load_predictor`.

    Raises:
      PredictionError: if the weights of runs would have to be fitted, or a fused run gets a rule.
      Also the errors of `selected_folders`, `load_predictor` and `load_fused`.
    """
    folders, shares = selected_folders(selection), selection.weights
    if shares is None:
        raise PredictionError(
            f"--run_weights must be numbers here, because fitting needs the data set. Received: "
            f"{FIT}. Name those that `python -m trainer.evaluate` fitted."
        )
    if len(folders) == 1:
        require_no_rule(folders[0], mean)
    members = tuple(_loaded(run, options, mean, precision) for run in folders)
    if len(members) > 1:
        require_different(
            [
                (run, member.weights)
                for run, member in zip(folders, members, strict=True)
                if member.weights is not None
            ]
        )
        return LoadedRuns(members, shares, selection.run_mean)
    product, picture = _temperatures(folders[0], members[0], options)
    return LoadedRuns(members, shares, product_temperature=product, picture_temperature=picture)


def _loaded(run: RunFolder, options: NetworkOptions, mean: str, precision: str | None) -> LoadedRun:
    if run.config.fusion is None:
        predictor = load_predictor(
            run, checkpoint=options.checkpoint, views=options.views, precision=precision
        )
        return LoadedNetwork(predictor, mean)
    network = load_fused(
        run, checkpoint=options.checkpoint, views=options.views, precision=precision
    )
    _ = network.function  # traced in the thread that built the networks
    return LoadedFusion(network)


def _temperatures(
    run: RunFolder, member: LoadedRun, options: NetworkOptions
) -> tuple[float | None, float | None]:
    """The temperatures of products and of pictures that were fitted for these very weights."""
    if member.weights is None:
        return None, None
    views, sha256 = options.views, member.weights.sha256
    method = CalibratedMethod(sha256, views.flip, views.scales, member.mean)
    calibration = read_calibrations(run).get(method)
    if calibration is not None:
        return calibration.product, calibration.picture
    return None, picture_temperature(run, sha256, views.flip, views.scales)
