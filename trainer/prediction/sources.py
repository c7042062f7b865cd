"""What predicts: products in, probabilities of the classes out, whatever is inside.

Evaluation and submission take any `Source`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from trainer.cluster.workers import ALONE, Workers
from trainer.data.dataset import CdiscountData, Split, records_identity
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import Pictures, ProductBatch
from trainer.prediction.joining_rules import MEANS
from trainer.prediction.kept_predictions import KeptPredictions, as_kept
from trainer.prediction.loading import inference_precision, load_predictor, require_both_stages
from trainer.prediction.mean_choice import AUTO, DEFAULT, choose_mean
from trainer.prediction.options import SourceOptions
from trainer.prediction.predictor import (
    PredictionError,
    Predictor,
    joined_products,
    predict_pictures,
    predict_products,
)
from trainer.prediction.priors import prior_of_run
from trainer.runs.folder import RunFolder, settings_digest
from trainer.runs.picture_files import digest_of
from trainer.runs.prediction_method import MeanChoice
from trainer.runs.run_weights import RunWeights


class Source(Protocol):
    """Predicts the products of a split."""

    @property
    def label_map(self) -> LabelMap:
        """The meaning of the classes."""

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        """Predicts each product once.

        Args:
          split: the products.
          products: int64, ascending ordinals of those to predict; default: all.

        Yields:
          Products in the split's order, then those without a readable picture; these are left out
          if the split is a passing one.

        Raises:
          DatasetError: if a record is damaged or does not match the index.
          PredictionError: if a prediction is not finite.
        """


class FolderSource(Source, Protocol):
    """A run's folder as a Source.

    Attributes:
      run: the run's folder.
      weights: the weights of the checkpoint; those that were loaded, once they are needed.
      mean: what joins the pictures of a product.
    """

    run: RunFolder
    weights: RunWeights
    mean: str

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The widths and heights of picture that its networks take, in pixels; each once."""

    def settle_mean(self) -> MeanChoice | None:
        """As in RunSource."""

    def hold_weights(self) -> None:
        """As in RunSource."""


def require_held(run: RunFolder, held: RunWeights, loaded: RunWeights | None) -> None:
    """Raises PredictionError if a training that goes on has replaced the weights in use."""
    if loaded not in (None, held):
        raise PredictionError(
            f"All predictions must be of the same weights. The training of {run.path} goes on and "
            "has replaced those of the kept predictions. Start the command again, or wait until "
            "the training is finished."
        )


@dataclasses.dataclass(frozen=True)
class NetworkSource:
    """A network in memory as a Source.

    Attributes:
      predictor: the network.
      batch_size: pictures per step.
      decoder: the decoder, as `resolve_decoder` returns it.
      mean: how to join the pictures of a product, one of `joining_rules.MEANS`.
    """

    predictor: Predictor
    batch_size: int
    decoder: str = "tf"
    mean: str = "arithmetic"

    @property
    def label_map(self) -> LabelMap:
        """As in Source."""
        return self.predictor.label_map

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        """As in Source."""
        return predict_products(
            self.predictor,
            split,
            batch_size=self.batch_size,
            products=products,
            mean=self.mean,
            decoder=self.decoder,
        )


class RunSource:
    """A run, plain or two-stage, as a Source. Its network is loaded when it is first needed.

    Args:
      run: the run's folder.
      data: the data set, which must have the run's categories; None: only passing splits will be
        predicted, by a rule that is named.
      options: how to predict.
      decoder: the decoder, as `resolve_decoder` returns it.
      workers: those that predict together; they all ask for the same predictions.

    Attributes:
      run: the run's folder.
      label_map: the meaning of its classes.
      weights: the weights of the checkpoint; those that were loaded, once they are needed.
      mean: the rule that joins the pictures of a product, one of `joining_rules.MEANS`; `auto`
        until `settle_mean`.

    Raises:
      RunFolderError, CheckpointError, LabelMapError: as in `load_predictor`.
      PredictionError: if there is no such rule.
    """

    def __init__(
        self,
        run: RunFolder,
        data: CdiscountData | None,
        options: SourceOptions,
        decoder: str,
        workers: Workers = ALONE,
    ):
        self.run, self.label_map = run.require(), run.label_map
        self.mean, self._workers = options.mean, workers
        self._data, self._options, self._decoder = data, options, decoder
        self._batch_size = options.batch_size or run.config.eval_batch_size
        if self.mean not in (*MEANS, AUTO):
            raise PredictionError(
                f"`mean` must be one of {', '.join((*MEANS, AUTO))}. Received: {self.mean!r}."
            )
        if data is not None:
            run.require_categories(data.categories)
        require_both_stages(run)
        weights = RunWeights.of(run, options.checkpoint)
        if weights is None:
            _ = self.predictor  # says what the run lacks
            raise PredictionError(f"{run.path} has no weights of the checkpoint yet.")
        self.weights = weights
        self._weights_are_held = False

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """As in FolderSource."""
        return (self.run.config.image_size,)

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The run's network."""
        return load_predictor(
            self.run, self._data, checkpoint=self._options.checkpoint, views=self._options.views
        )

    @functools.cached_property
    def _prior(self) -> np.ndarray:
        data, config = self._data, self.run.config
        prior = None if data is None else prior_of_run(data, config, self.label_map)
        classes = self.label_map.num_classes
        return np.full(classes, 1 / classes, np.float32) if prior is None else prior

    def pictures(self, split: Split, products: np.ndarray) -> Iterator[Pictures]:
        """The readable pictures of products and their probabilities, as `predict_pictures`.

        They come from the run's folder if they are kept there. Those of a passing split never are,
        but have the same bits.

        Raises:
          PredictionError: if some predictions were of kept weights, and a training that goes on has
            replaced those before the network was needed.
        """
        keeps = self._options.keep_predictions and not split.passing
        if not self._weights_are_held and not (keeps and self._kept(split, products).is_finished):
            # A training that goes on may have replaced the weights since this object was made.
            self.weights = self.predictor.weights or self.weights
        self._weights_are_held = True
        if keeps:
            return self._kept(split, products).pictures()
        computed = self._computed(split, products, 0)
        return as_kept(computed, self.label_map.num_classes) if split.passing else computed

    def hold_weights(self) -> None:
        """From now on all predictions must be of `weights`: something was derived from them."""
        self._weights_are_held = True

    def _kept(self, split: Split, products: np.ndarray) -> KeptPredictions:
        return KeptPredictions(
            self.run.predictions,
            self._key(split, products),
            self.label_map.num_classes,
            int(split.index.num_pictures[products].sum(dtype=np.int64)),
            self._batch_size,
            functools.partial(self._computed, split, products),
            f"predicting {split.spec}",
            self._workers,
        )

    def _computed(
        self, split: Split, products: np.ndarray, first: int, end: int | None = None
    ) -> Iterator[Pictures]:
        require_held(self.run, self.weights, self.predictor.weights)
        return predict_pictures(
            self.predictor,
            split,
            batch_size=self._batch_size,
            products=products,
            decoder=self._decoder,
            steps=(first, end),
        )

    def _key(self, split: Split, products: np.ndarray) -> dict[str, Any]:
        """Everything that the probabilities of pictures depend on."""
        config, views = self.run.config, self._options.views
        return {
            "weights": self.weights.sha256,
            "settings": settings_digest(config),
            "classes": self.label_map.digest,
            "data": split.index.digest,
            "records": records_identity(split),
            "products": digest_of([products]),
            "flip": views.flip,
            "scales": list(views.scales),
            "precision": inference_precision(config),
            "decoder": self._decoder,
            "tensorflow": tf.__version__,
        }

    def settle_mean(self) -> MeanChoice | None:
        """Replaces `--mean=auto` by the best rule on the run's validation split.

        Returns:
          The choice; None if the user named a rule.

        Raises:
          DatasetError: if the data set does not hold the validation split.
          PredictionError: as in `choose_mean`, or if there is no data set.
        """
        if self.mean != AUTO:
            return None
        if self._data is None:
            raise PredictionError(
                "--mean=auto chooses on the run's validation split, and needs the data set. Name a "
                f"rule instead: --mean={DEFAULT}."
            )
        validation = self._data.split(self.run.config.validation_split)
        choice = choose_mean(self, LabelledSplit(validation, self.label_map))
        self.mean = choice.mean
        return choice

    def predict(self, split: Split, products: np.ndarray | None = None) -> Iterator[ProductBatch]:
        """As in Source."""
        if products is None:
            products = np.arange(split.num_products)
        return joined_products(
            self.pictures(split, products),
            products,
            mean=self.mean,
            prior=None if split.passing else self._prior,
            batch_size=self._batch_size,
        )
