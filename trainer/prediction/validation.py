"""Validates a network during training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from trainer.cluster.shared_work import work_of
from trainer.cluster.workers import ALONE, Workers
from trainer.data.label_map import LabelMap
from trainer.data.labelled_split import LabelledSplit
from trainer.data.lanes import share_of_products
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.predictor import PredictionError, Predictor, predict_products
from trainer.prediction.scores import ProductTally
from trainer.settings.config import Config


@dataclasses.dataclass(frozen=True)
class Validation:
    """The scores of a network on the products with a class.

    Attributes:
      loss: mean over the pictures, in nats; over the products for a fused run.
      accuracy, top5_accuracy: by picture.
      product_accuracy, product_top5_accuracy: by product, with probabilities averaged over its
        pictures.
    """

    loss: float
    accuracy: float
    top5_accuracy: float
    product_accuracy: float
    product_top5_accuracy: float


class Validator:
    """Validates a network after each epoch of its training.

    Args:
      model: the network; each validation uses its current weights.
      label_map: the meaning of its classes.
      config: the run's resolved settings.
      workers: those that share the products out.
    """

    def __init__(
        self,
        model: keras.Model,
        label_map: LabelMap,
        config: Config,
        workers: Workers = ALONE,
    ):
        self._predictor = Predictor(model, label_map, image_size=config.image_size)
        self._batch_size = config.eval_batch_size
        self._decoder, self._workers = config.decoder, workers

    @property
    def function(self) -> tf.types.experimental.ConcreteFunction:
        """The TensorFlow function from the network's inputs to probabilities."""
        return self._predictor.function

    def validate(
        self,
        labelled: LabelledSplit,
        label: str = "evaluating",
        between_batches: Callable[[], None] = lambda: None,
        dataset: tf.data.Dataset | None = None,
    ) -> Validation:
        """Loss and accuracies over the products that have one of the run's classes.

        Args:
          labelled: the products.
          label: label of the progress line.
          between_batches: called after each batch; an exception from it ends the validation.
          dataset: as in `predict_products`; for one worker alone.

        Raises:
          PredictionError: if no product of the split has one of the run's classes.
          StopAsked, WorkersError, WorkerLost: as in SharedWork.
        """
        products = labelled.products
        num_pictures = labelled.split.index.num_pictures[products]
        batches = predict_products(
            self._predictor,
            labelled.split,
            batch_size=self._batch_size,
            products=share_of_products(products, num_pictures, self._workers.this),
            decoder=self._decoder,
            dataset=dataset,
        )
        tally = _tallied(labelled, batches, label, between_batches, self._workers)
        return _validation(tally, tally.by_picture.loss)


def validate_products(
    labelled: LabelledSplit, batches: Iterable[ProductBatch], between_batches: Callable[[], None]
) -> Validation:
    """The scores of a network that takes all pictures of a product; its loss is by product.

    Args:
      labelled: the products.
      batches: the predictions of those with a class.
      between_batches: as in `Validator.validate`.

    Raises:
      PredictionError: as in `Validator.validate`.
    """
    tally = _tallied(labelled, batches, "validating", between_batches)
    return _validation(tally, tally.by_product.loss)


def _tallied(
    labelled: LabelledSplit,
    batches: Iterable[ProductBatch],
    label: str,
    between_batches: Callable[[], None],
    workers: Workers = ALONE,
) -> ProductTally:
    """Counts the predictions of all workers, with a progress line."""
    if not labelled.num_products:
        raise PredictionError(
            "Validation needs products with labels of this run's classes. The split "
            f"{labelled.split.spec!r} has none. Choose another --validation_split."
        )
    tally = ProductTally(labelled.classes)
    with work_of(workers, label, labelled.num_products, "products") as work:
        for batch in batches:
            tally.add(batch)
            work.did(len(batch.ordinals))
            between_batches()
    tally.join(workers)
    return tally


def _validation(tally: ProductTally, loss: float) -> Validation:
    by_picture, by_product = tally.by_picture, tally.by_product
    return Validation(
        loss,
        by_picture.accuracy,
        by_picture.top5_accuracy,
        by_product.accuracy,
        by_product.top5_accuracy,
    )
