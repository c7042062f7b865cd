"""The optimizers and schedules by name, importable without TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# Learning rate schedules; `trainer.models.optimizers.build_schedule` describes them.
SCHEDULES = ("constant", "cosine", "step")


@dataclasses.dataclass(frozen=True)
class OptimizerEntry:
    """One optimizer.

    Attributes:
      class_name: its class in `keras.optimizers`.
      learning_rate: default when training from random weights.
      fine_tune_learning_rate: default peak when all layers of a pretrained network are trained.
      weight_decay: default.
      settings: arguments that differ from the defaults of Keras 3.
    """

    class_name: str
    learning_rate: float
    fine_tune_learning_rate: float
    weight_decay: float = 0.0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# Learning rates are Keras's defaults, the same in Keras 3 as in the study's Keras 1 and 2, except
# for Adadelta: 1.0 there and in the paper (arXiv:1212.5701), but 0.001 in Keras 3, with which it
# hardly learns (https://keras.io/api/optimizers/adadelta/). Rates for fine-tuning: Adam's was
# measured, Nadam and AdamW copy it; the others keep Adam's proportion or use common values.
OPTIMIZERS: dict[str, OptimizerEntry] = {
    "rmsprop": OptimizerEntry("RMSprop", 1e-3, 5e-4),
    "adam": OptimizerEntry("Adam", 1e-3, 5e-4),
    "adadelta": OptimizerEntry("Adadelta", 1.0, 0.5),
    "sgd": OptimizerEntry("SGD", 1e-2, 1e-2, settings={"momentum": 0.9}),
    "nadam": OptimizerEntry("Nadam", 1e-3, 5e-4),
    "adamw": OptimizerEntry("AdamW", 1e-3, 5e-4, weight_decay=4e-3),
}
