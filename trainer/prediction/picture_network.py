"""Networks of runs as one Keras model from decoded pictures to probabilities.

What formats without a JPEG decoder can hold: views, temperature and the mean over several runs are
part of its graph.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from trainer.prediction.saved_model import Servable, Served, ServingError

INPUT, OUTPUT = "pictures", "probabilities"


class PictureNetwork(keras.Model):
    """uint8 [b, s, s, 3], RGB -> {"probabilities": float32 [b, classes]}.

    Args:
      served: the networks.
      image_size: s.
      scales_logits: whether to divide the logits by the temperature, rather than the logarithms of
        the probabilities. It is the same for one network and one view (`require_one_view`), but
        8-bit probabilities have steps of 1/256, too coarse for logarithms.
    """

    def __init__(self, served: Served, image_size: int, *, scales_logits: bool = False):
        super().__init__(name="picture_network")
        self.served, self.networks = served, list(served.models)
        self.scales_logits = scales_logits
        self.signature = tf.TensorSpec([None, image_size, image_size, 3], tf.uint8, name=INPUT)
        self(tf.zeros([1, image_size, image_size, 3], tf.uint8))  # Keras exports what it has built

    def call(self, pictures: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """As TensorFlow operations; `training` is what Keras passes, and changes nothing."""
        if self.scales_logits:
            (predictor,) = self.served.predictors
            logits = predictor.model(pictures, training=False)
            return {OUTPUT: tf.nn.softmax(logits / predictor.temperature)}
        parts = [predictor.forward(pictures) for predictor in self.served.predictors]
        return {OUTPUT: self.served.joined(parts)}


def picture_size(served: Servable) -> int:
    """The one size of picture that all networks take, in pixels.

    Raises:
      ServingError: if a file cannot hold the networks: they have several sizes, take the pictures
        of a product together, or magnify pictures.
    """
    if not isinstance(served, Served):
        raise ServingError(
            "--format=onnx and litert take networks that see one picture at a time. Received: a "
            "fused run, which takes all pictures of a product, as many as there are. Use "
            "--format=saved_model."
        )
    scales = {scale for predictor in served.predictors for scale, _ in predictor.views}
    if scales != {1}:
        # LiteRT has no operation for it; tf2onnx 1.17 writes one that computes something else.
        raise ServingError(
            "--format=onnx and litert take pictures at --scales=1: neither can cut out and magnify "
            f"as TensorFlow does. Received: {', '.join(f'{one:g}' for one in sorted(scales))}. "
            "Leave out --scales, or use --format=saved_model."
        )
    sizes = sorted({predictor.image_size for predictor in served.predictors})
    if len(sizes) > 1:
        raise ServingError(
            "--format=onnx and litert take runs with one --image_size, because a picture enters "
            f"decoded and resized. Received: {', '.join(map(str, sizes))}. Export each run by "
            "itself, or use --format=saved_model."
        )
    return sizes[0]


def require_one_view(served: Served) -> None:
    """Raises ServingError unless one network sees each picture once, for 8-bit integers."""
    networks = len(served.predictors)
    views = max(len(predictor.views) for predictor in served.predictors)
    if networks > 1 or views > 1:
        raise ServingError(
            "--int8 takes one run and one view of each picture: 8-bit integers are too coarse for "
            f"means of probabilities. Received: {networks} run(s), {views} view(s). Leave out "
            "--flip, and name one --run_dir."
        )


def run_probabilities(served: Served, pictures: np.ndarray, batch_size: int) -> np.ndarray:
    """What the runs themselves predict: uint8 [n, s, s, 3] -> float32 [n, classes].

    Raises:
      PredictionError: if a prediction is not finite.
    """
    batches = []
    for start in range(0, len(pictures), batch_size):
        batch = tf.constant(pictures[start : start + batch_size])
        parts = [tf.constant(predictor.probabilities(batch)) for predictor in served.predictors]
        batches.append(served.joined(parts).numpy())
    return np.concatenate(batches)
