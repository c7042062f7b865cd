"""A fused run as a Source: features of each picture from its members, then one network."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData, Split
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.fused_predictor import FusedPredictor, PictureFeatures
from trainer.prediction.loading import load_network_of
from trainer.prediction.member_bases import load_members, member_folders
from trainer.prediction.options import SourceOptions
from trainer.prediction.picture_features import FeatureBases, FeatureReader
from trainer.prediction.predictor import PredictionError
from trainer.prediction.priors import prior_of_run
from trainer.prediction.shared_features import SharedFeatures
from trainer.prediction.sources import FolderSource, RunSource, require_held
from trainer.prediction.views import Views
from trainer.runs.folder import RunFolder
from trainer.runs.prediction_method import MeanChoice
from trainer.runs.run_weights import RunWeights

# What stands for the rule that joins a product's pictures.
FUSED = "fusion"


@dataclasses.dataclass(frozen=True)
class FusedNetwork(FeatureBases):
    """A fused run's networks in memory: the bases of its members, and what joins their features.

    Attributes:
      predictor: from the features of a product to its probabilities.
    """

    predictor: FusedPredictor


def load_fused(
    run: RunFolder,
    data: CdiscountData | None = None,
    *,
    checkpoint: str = "best",
    views: Views | None = None,
    temperature: float = 1.0,
    precision: str | None = None,
) -> FusedNetwork:
    """Loads the networks of a fused run; arguments and errors as in `load_predictor`.

    Raises:
      MemberError: if a run that it is made of is gone or changed.
    """
    config, label_map, views = run.config, run.label_map, views or Views()
    assert config.fusion is not None, "not a fused run"
    prior = None
    if data is not None:
        run.require_categories(data.categories)
        prior = prior_of_run(data, config, label_map)
    members = load_members(run, precision)
    model, weights = load_network_of(run, checkpoint)
    predictor = FusedPredictor(
        model,
        label_map,
        views=len(views.all),
        temperature=temperature,
        prior=prior,
        weights=weights,
    )
    return FusedNetwork(members, views, config.fusion.flip, predictor)


class FusedSource:
    """A fused run as a Source. Its networks are loaded when they are first needed.

    Args:
      run: the run's folder.
      data: the data set, as in RunSource.
      options: how to predict; `mean` and `keep_predictions` are for pictures, and do not apply.
      decoder: the decoder, as `resolve_decoder` returns it.
      workers: as in RunSource.

    Attributes:
      run, label_map, weights: as in RunSource.
      mean: FUSED.

    Raises:
      MemberError: if a run that it is made of is gone or changed.
      RunFolderError, CheckpointError, LabelMapError: as in `load_fused`.
    """

    def __init__(
        self,
        run: RunFolder,
        data: CdiscountData | None,
        options: SourceOptions,
        decoder: str,
        workers: Workers = ALONE,
    ):
        self.run, self.label_map, self.mean = run.require(), run.label_map, FUSED
        self._data, self._options, self._decoder = data, options, decoder
        self._workers = workers
        self._batch_size = options.batch_size or run.config.eval_batch_size
        if data is not None:
            run.require_categories(data.categories)
        self._members = member_folders(run)
        weights = RunWeights.of(run, options.checkpoint)
        if weights is None:
            _ = self._network  # says what the run lacks
            raise PredictionError(f"{run.path} has no weights of the checkpoint yet.")
        self.weights = weights
        self._weights_are_held = False

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """As in FolderSource."""
        return tuple(dict.fromkeys(member.config.image_size for member in self._members))

    @functools.cached_property
    def _network(self) -> FusedNetwork:
        return load_fused(
            self.run, self._data, checkpoint=self._options.checkpoint, views=self._options.views
        )

    @functools.cached_property
    def _reader(self) -> FeatureReader:
        return FeatureReader(self._network, self._batch_size, self._decoder)

    def settle_mean(self) -> MeanChoice | None:
        """Chooses nothing: the network joins the pictures."""
        return None

    def hold_weights(self) -> None:
        """As in RunSource."""
        self._weights_are_held = True

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        """As in Source. The probabilities of a picture are those of a product that has it alone."""
        if products is None:
            products = np.arange(split.num_products)
        predictor = self._network.predictor
        if not self._weights_are_held:
            # A training that goes on may have replaced the weights since this object was made.
            self.weights = predictor.weights or self.weights
        self._weights_are_held = True
        require_held(self.run, self.weights, predictor.weights)
        return predictor.products(
            self._pictures(split, products),
            products,
            self._batch_size,
            with_prior=not split.passing,
        )

    def _pictures(self, split: Split, products: np.ndarray) -> Iterator[PictureFeatures]:
        if not self._workers.several:
            return self._reader.pictures(split, products)
        weights = {"weights": [member.weights.sha256 for member in self._network.members]}
        return SharedFeatures(
            self._reader, split, products, self.run.predictions, weights, self._workers
        ).pictures()


def open_source(
    run: RunFolder,
    data: CdiscountData | None,
    options: SourceOptions,
    decoder: str,
    workers: Workers = ALONE,
) -> FolderSource:
    """The run in a folder as a Source, whatever kind of run it is.

    Arguments and errors as in RunSource and FusedSource.
    """
    kind = RunSource if run.require().config.fusion is None else FusedSource
    return kind(run, data, options, decoder, workers)
