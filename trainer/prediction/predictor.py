"""Predicts products: runs their pictures through a trained network and averages the results.

    for batch in predict_products(predictor, data.split("test"), batch_size=256):
        batch.ordinals, batch.probabilities

Memory holds only a few batches, for any number of products.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from trainer.data.dataset import Split
from trainer.data.input_pipeline import inference_dataset
from trainer.data.label_map import LabelMap
from trainer.data.record_reading import clear_record_errors
from trainer.prediction.ahead import ahead
from trainer.prediction.averaging import MEANS, ProductBatch, average_products, prior_batch
from trainer.runs.run_weights import RunWeights


class PredictionError(ValueError):
    """A network or a stream of pictures that does not give valid predictions."""


class Predictor:
    """A network as a function from pictures to the probabilities of a run's classes.

    Args:
      model: pictures uint8 [b, size, size, 3] or features [b, f] -> float32 logits [b, classes].
        Its weights may change between calls; the function is traced only once.
      label_map: the meaning of the classes.
      image_size: width and height of the pictures, in pixels.
      flip: whether to average each picture's probabilities with those of its mirror image.
      mean: how to average the pictures of a product. `geometric` is the softmax of the mean
        log-probability; the winners of the competition found it better for few networks.
      prior: float32 [classes], the prediction for a product without a readable picture; default:
        uniform.
      weights: the run's weights that the network has; None if it is not from a run's folder.
    """

    def __init__(
        self,
        model: keras.Model,
        label_map: LabelMap,
        *,
        image_size: int,
        flip: bool = False,
        mean: str = "arithmetic",
        prior: np.ndarray | None = None,
        weights: RunWeights | None = None,
    ):
        if mean not in MEANS:
            raise PredictionError(f"`mean` must be one of {', '.join(MEANS)}. Received: {mean!r}.")
        classes = label_map.num_classes
        if model.output_shape[-1] != classes:
            raise PredictionError(
                "A network must have one output for each class of its label map. Received: "
                f"{model.output_shape[-1]} outputs for {classes} classes."
            )
        self.model, self.label_map, self.image_size, self.mean = model, label_map, image_size, mean
        self.weights = weights
        self.prior = np.full(classes, 1 / classes, np.float32) if prior is None else prior

        self._flip = flip
        # Traced here, in the thread that built the network; other threads call it.
        self.function = tf.function(self.forward).get_concrete_function(
            tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        )

    def forward(self, images: tf.Tensor) -> tf.Tensor:
        """uint8 [b, size, size, 3] -> float32 [b, classes], as TensorFlow operations."""
        # Softmax over thousands of classes needs float32.
        probabilities = tf.nn.softmax(tf.cast(self.model(images, training=False), tf.float32))
        if self._flip:
            mirrored = self.model(tf.reverse(images, axis=[2]), training=False)
            probabilities += tf.nn.softmax(tf.cast(mirrored, tf.float32))
            probabilities /= 2
        return probabilities

    def probabilities(self, images: tf.Tensor) -> np.ndarray:
        """uint8 [b, size, size, 3] -> float32 [b, classes], each row summing to 1.

        Raises:
          PredictionError: if they are not finite.
        """
        probabilities = self.function(images).numpy()
        # One NaN or infinite logit makes its whole row NaN.
        if not np.isfinite(probabilities[:, 0]).all():
            raise PredictionError(
                "Predictions must be finite numbers. This network gives NaN: its weights have "
                "diverged. Use the best checkpoint (--checkpoint=best), or train again with a "
                "smaller --learning_rate or --precision=float32."
            )
        return probabilities


def predict_products(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    products: np.ndarray | None = None,
    decoder: str = "tf",
    dataset: tf.data.Dataset | None = None,
) -> Iterator[ProductBatch]:
    """Predicts every product of a split once.

    Args:
      predictor: the network.
      split: the products.
      batch_size: pictures per step.
      products: int64, ascending ordinals of the products to predict; default: all. Pictures of
        other products are not decoded.
      decoder: the decoder, as in `trainer.data.input_pipeline`.
      dataset: features of these products from `inference_features`, for a network that takes
        features; default: their pictures.

    Yields:
      Products in the split's order, then those without a readable picture, which get
      `predictor.prior`; at most about `batch_size` products at a time.

    Raises:
      DatasetError: if a record is damaged or does not match the index.
      PredictionError: if a prediction is not finite.
    """
    if products is None:
        products = np.arange(split.num_products)
    if dataset is None:
        dataset = inference_dataset(
            split,
            batch_size=batch_size,
            image_size=predictor.image_size,
            products=products,
            decoder=decoder,
        )

    def predict(element: dict[str, tf.Tensor]) -> tuple[np.ndarray, np.ndarray]:
        ordinals = element["product"].numpy()
        return ordinals, predictor.probabilities(element["inputs"])

    # Skip batches without a readable picture, which are empty.
    dataset = dataset.filter(lambda element: tf.size(element["product"]) > 0)

    pictures = ahead(predict, dataset)
    unseen = np.zeros(split.num_products, bool)
    unseen[products] = True
    with clear_record_errors(split):
        for batch in average_products(pictures, predictor.mean):
            unseen[batch.ordinals] = False
            yield batch
    yield from _with_prior(np.flatnonzero(unseen), len(products), batch_size, predictor.prior)


def _with_prior(
    unseen: np.ndarray, num_products: int, batch_size: int, prior: np.ndarray
) -> Iterator[ProductBatch]:
    """Yields the products without a readable picture, with the prior."""
    if len(unseen):
        logging.warning(
            "%d of %d products have no readable picture: they get the training prior.",
            len(unseen),
            num_products,
        )
    for start in range(0, len(unseen), batch_size):
        yield prior_batch(unseen[start : start + batch_size], prior)
