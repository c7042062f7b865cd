"""Predicts products: runs their pictures through a trained network and joins the results.

    for batch in predict_products(predictor, data.split("test"), batch_size=256):
        batch.ordinals, batch.probabilities

Memory holds only a few batches, for any number of products.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from trainer.data.dataset import Split
from trainer.data.input_pipeline import inference_dataset
from trainer.data.label_map import LabelMap
from trainer.data.record_reading import clear_record_errors
from trainer.prediction.ahead import ahead
from trainer.prediction.averaging import Pictures, ProductBatch, average_products, prior_batch
from trainer.prediction.joining_rules import SMALLEST
from trainer.prediction.views import Views
from trainer.runs.run_weights import RunWeights

_ONE_VIEW = Views()


class PredictionError(ValueError):
    """A network or a stream of pictures that does not give valid predictions."""


class Predictor:
    """A network as a function from pictures to the probabilities of a run's classes.

    Args:
      model: pictures uint8 [b, size, size, 3] or features [b, f] -> float32 logits [b, classes].
        Its weights may change between calls; the function is traced only once.
      label_map: the meaning of the classes.
      image_size: width and height of the pictures, in pixels.
      views: the views of each picture whose probabilities are averaged.
      prior: float32 [classes], the prediction for a product without a readable picture; default:
        uniform.
      temperature: of each picture's probabilities: p becomes p ** (1 / temperature), scaled to the
        sum 1.
      weights: the run's weights that the network has; None if it is not from a run's folder.
    """

    def __init__(
        self,
        model: keras.Model,
        label_map: LabelMap,
        *,
        image_size: int,
        views: Views = _ONE_VIEW,
        temperature: float = 1.0,
        prior: np.ndarray | None = None,
        weights: RunWeights | None = None,
    ):
        classes = label_map.num_classes
        if model.output_shape[-1] != classes:
            raise PredictionError(
                "A network must have one output for each class of its label map. Received: "
                f"{model.output_shape[-1]} outputs for {classes} classes."
            )
        self.model, self.label_map, self.image_size = model, label_map, image_size
        self.weights = weights
        self.prior = np.full(classes, 1 / classes, np.float32) if prior is None else prior

        self.views, self.temperature = views.all, temperature
        # Traced here, in the thread that built the network; other threads call it.
        self.function = tf.function(self.forward).get_concrete_function(
            tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        )

    def forward(self, images: tf.Tensor) -> tf.Tensor:
        """uint8 [b, size, size, 3] -> float32 [b, classes], as TensorFlow operations."""
        return self.joined(
            [self.model(view_of(images, *view), training=False) for view in self.views]
        )

    def joined(self, logits: Sequence[tf.Tensor]) -> tf.Tensor:
        """The logits [b, classes] of each view -> float32 [b, classes], with the temperature."""
        # Softmax over thousands of classes needs float32.
        total = tf.add_n([tf.nn.softmax(tf.cast(one, tf.float32)) for one in logits])
        probabilities = total / len(self.views)
        if self.temperature != 1:
            powers = tf.math.log(tf.maximum(probabilities, SMALLEST)) / self.temperature
            probabilities = tf.nn.softmax(powers)
        return probabilities

    def probabilities(self, images: tf.Tensor) -> np.ndarray:
        """uint8 [b, size, size, 3] -> float32 [b, classes], each row summing to 1.

        Raises:
          PredictionError: if they are not finite.
        """
        return finite(self.function(images).numpy())


def finite(probabilities: np.ndarray) -> np.ndarray:
    """Returns float32 [b, classes]; raises PredictionError if they are not finite."""
    # One NaN or infinite logit makes its whole row NaN.
    if not np.isfinite(probabilities[:, 0]).all():
        raise PredictionError(
            "Predictions must be finite numbers. This network gives NaN: its weights have "
            "diverged. Use the best checkpoint (--checkpoint=best), or train again with a "
            "smaller --learning_rate or --precision=float32."
        )
    return probabilities


def view_of(images: tf.Tensor, scale: float, mirrored: bool) -> tf.Tensor:
    """A view of each picture, as in `Views`: uint8 [b, size, size, 3] -> the same shape."""
    if scale != 1:
        margin = (1 - 1 / scale) / 2
        boxes = tf.tile([[margin, margin, 1 - margin, 1 - margin]], [tf.shape(images)[0], 1])
        scaled = tf.image.crop_and_resize(
            images,
            boxes,
            tf.range(tf.shape(images)[0]),
            images.shape[1:3],
            extrapolation_value=255,
        )
        images = tf.cast(tf.round(scaled), tf.uint8)
    return tf.reverse(images, axis=[2]) if mirrored else images


def predict_products(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    products: np.ndarray | None = None,
    mean: str = "arithmetic",
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
      mean: how to join the pictures of a product, one of `joining_rules.MEANS`.
      decoder: the decoder, as in `trainer.data.input_pipeline`.
      dataset: features of these products from `inference_features`, for a network that takes
        features; default: their pictures.

    Yields:
      As `joined_products`.

    Raises:
      DatasetError: if a record is damaged or does not match the index.
      PredictionError: if a prediction is not finite.
    """
    if products is None:
        products = np.arange(split.num_products)
    pictures = predict_pictures(
        predictor,
        split,
        batch_size=batch_size,
        products=products,
        decoder=decoder,
        dataset=dataset,
    )
    yield from joined_products(
        pictures, products, mean=mean, prior=predictor.prior, batch_size=batch_size
    )


def predict_pictures(
    predictor: Predictor,
    split: Split,
    *,
    batch_size: int,
    products: np.ndarray,
    decoder: str = "tf",
    dataset: tf.data.Dataset | None = None,
    steps: tuple[int, int | None] = (0, None),
) -> Iterator[Pictures]:
    """Predicts every readable picture of some products once, in the records' order.

    Batches without a readable picture are empty. `steps` says which batches to compute, as in
    `inference_dataset`. Other arguments, and errors, as in `predict_products`.
    """
    if dataset is None:
        dataset = inference_dataset(
            split,
            batch_size=batch_size,
            image_size=predictor.image_size,
            products=products,
            decoder=decoder,
            steps=steps,
        )

    def predict(element: dict[str, tf.Tensor]) -> Pictures:
        ordinals = element["product"].numpy()
        if not len(ordinals):
            return ordinals, np.zeros([0, predictor.label_map.num_classes], np.float32)
        return ordinals, predictor.probabilities(element["inputs"])

    with clear_record_errors(split):
        yield from ahead(predict, dataset)


def joined_products(
    pictures: Iterable[Pictures],
    products: np.ndarray,
    *,
    mean: str,
    prior: np.ndarray | None,
    batch_size: int,
) -> Iterator[ProductBatch]:
    """Joins the pictures of products, and adds the products without a readable picture.

    Args:
      pictures: the readable pictures of `products`.
      products: int64, ascending ordinals.
      mean: one of `joining_rules.MEANS`.
      prior: float32 [classes], for a product without a readable picture; None: it is left out.
      batch_size: number of products with the prior to yield at a time.

    Yields:
      Products in the split's order, then those that get the prior.
    """
    unseen = np.ones(len(products), bool)
    for batch in average_products(pictures, mean):
        unseen[np.searchsorted(products, batch.ordinals)] = False
        yield batch
    if prior is not None:
        yield from prior_batches(products[unseen], len(products), prior, batch_size)


def prior_batches(
    without_picture: np.ndarray, of_products: int, prior: np.ndarray, batch_size: int
) -> Iterator[ProductBatch]:
    """The prior for products without a readable picture, with a warning if there are any."""
    if len(without_picture):
        logging.warning(
            "%d of %d products have no readable picture: they get the training prior.",
            len(without_picture),
            of_products,
        )
    for start in range(0, len(without_picture), batch_size):
        yield prior_batch(without_picture[start : start + batch_size], prior)
