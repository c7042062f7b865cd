"""Calibrates probabilities with a temperature (Guo et al., 2017, arXiv:1706.04599).

A temperature is applied last: to a product's probabilities after its pictures are joined, and, for
figures by picture, to those of the picture. So it never changes a first guess, and accuracies do
not depend on whether a run is calibrated.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from cdisc_tfds.progress_line import ProgressLine
from trainer.data.labelled_split import LabelledSplit
from trainer.prediction.averaging import ProductBatch
from trainer.prediction.joining_rules import logarithms
from trainer.prediction.likelihood import sampled_products
from trainer.prediction.predictor import PredictionError
from trainer.prediction.sources import Source
from trainer.runs.calibration_file import Calibration

LOWEST, HIGHEST = 0.05, 20.0
_ROWS = 3  # of a product and its pictures: 2.7 on average in the competition, 5 at most
_GOLDEN = (math.sqrt(5) - 1) / 2
_PRECISION = 1e-4  # of the logarithm of a temperature


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """p ** (1 / temperature), each row scaled to the sum 1: float32 [n, classes]."""
    if temperature == 1:
        return probabilities
    logs = logarithms(probabilities)
    powers = np.exp((logs - logs.max(axis=1, keepdims=True)) / np.float32(temperature))
    return powers / powers.sum(axis=1, keepdims=True)


def tempered_batch(batch: ProductBatch, calibration: Calibration) -> ProductBatch:
    """Products and pictures with their temperatures; products without a picture keep the prior."""
    seen = batch.num_pictures > 0
    probabilities = batch.probabilities.copy()
    probabilities[seen] = tempered(batch.probabilities[seen], calibration.product)
    return dataclasses.replace(
        batch,
        probabilities=probabilities,
        picture_probabilities=tempered(batch.picture_probabilities, calibration.picture),
    )


def log_loss(logs: np.ndarray, classes: np.ndarray, temperature: float) -> float:
    """Mean of -log(probability of the true class) at a temperature, in nats.

    Args:
      logs: float32 [n, classes], logarithms of probabilities.
      classes: integers [n], the true classes.
      temperature: above 0.
    """
    scaled = logs / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    own = scaled[np.arange(len(classes)), classes]
    return float((np.log(np.exp(scaled).sum(axis=1)) - own).mean(dtype=np.float64))


def fit_temperature(logs: np.ndarray, classes: np.ndarray) -> float:
    """The temperature from LOWEST to HIGHEST with the lowest loss; arguments as in `log_loss`.

    The loss is convex in 1 / temperature, so it has one minimum, and golden-section search over
    the logarithm of the temperature finds it.
    """
    low, high = math.log(LOWEST), math.log(HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left = log_loss(logs, classes, math.exp(left))
    loss_right = log_loss(logs, classes, math.exp(right))
    while high - low > _PRECISION:
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = log_loss(logs, classes, math.exp(left))
        else:
            low, left, loss_left = left, right, loss_right
            right = low + _GOLDEN * (high - low)
            loss_right = log_loss(logs, classes, math.exp(right))
    return math.exp((low + high) / 2)


def calibrate(source: Source, labelled: LabelledSplit) -> Calibration:
    """Fits the temperatures of products and of pictures.

    Args:
      source: what predicts.
      labelled: products that it was not trained on; a sample of them if all, with their pictures,
        do not fit `likelihood.MOST_VALUES`.

    Raises:
      PredictionError: if no product with a class has a readable picture.
    """
    products = sampled_products(labelled, _ROWS)
    logs, classes, picture_logs, picture_classes = [], [], [], []
    line = ProgressLine(f"calibrating on {labelled.split.spec}", len(products), "products")
    done = 0
    for batch in source.predict(labelled.split, products):
        seen = batch.num_pictures > 0
        logs.append(logarithms(batch.probabilities[seen]))
        classes.append(labelled.classes[batch.ordinals[seen]])
        picture_logs.append(logarithms(batch.picture_probabilities))
        picture_classes.append(labelled.classes[batch.picture_ordinals])
        done += len(batch.ordinals)
        line.update(done)
    line.close()
    if not sum(map(len, classes)):
        raise PredictionError(
            "--calibrate needs labelled products with a readable picture. The split "
            f"{labelled.split.spec!r} has none."
        )
    of_products = np.concatenate(logs), np.concatenate(classes)
    of_pictures = np.concatenate(picture_logs), np.concatenate(picture_classes)
    product = fit_temperature(*of_products)
    return Calibration(
        product=product,
        picture=fit_temperature(*of_pictures),
        split=labelled.split.spec,
        num_products=len(of_products[1]),
        num_pictures=len(of_pictures[1]),
        loss_before=log_loss(*of_products, 1),
        loss=log_loss(*of_products, product),
    )
