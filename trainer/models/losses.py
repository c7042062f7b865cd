"""The training loss."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("trainer")
class SparseCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels [b] under logits [b, classes], with label smoothing.

    Equal to Keras's `CategoricalCrossentropy(from_logits=True, label_smoothing=s)` on one-hot
    labels, whose target is 1 - s + s/K for the label and s/K for each of the other K - 1 classes,
    but without building that [b, classes] matrix.

    Args:
      label_smoothing: share s of the label to spread evenly over all classes, in [0, 1).
    """

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "sparse_crossentropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be at least 0 and below 1. "
                f"Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true, "int32")  # Keras passes labels to a loss as float32
        loss = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        if self.label_smoothing == 0:
            return loss
        # log Z - (1-s) x_label - s mean(x), where the sparse loss is log Z - x_label.
        of_label = ops.squeeze(ops.take_along_axis(y_pred, labels[:, None], axis=-1), -1)
        return loss + self.label_smoothing * (of_label - ops.mean(y_pred, axis=-1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"label_smoothing": self.label_smoothing}
