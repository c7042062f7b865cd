"""Additional outputs for training: the names of levels 1 and 2, beside the classes.

They are layers on the same features as the last layer, so that the features learn what the levels
have in common. Only training uses them; a run's weights files do not hold them.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import layers


class LevelHeads:
    """The layers of the additional outputs, under the current dtype policy.

    Args:
      num_labels: number of outputs by the level's name.
    """

    def __init__(self, num_labels: Mapping[str, int]):
        self._heads = [
            layers.Dense(count, name=f"{level}_classes") for level, count in num_labels.items()
        ]

    def attached_to(self, model: keras.Model) -> keras.Model:
        """A network that shares the layers of `model`: input -> [its logits, logits of each level].

        Args:
          model: from `build_model`, or its second half from `split_at_features`.
        """
        if not self._heads:
            return model
        features = model.get_layer("classes").input
        in_float32 = layers.Activation("linear", dtype="float32", name="level_logits")
        outputs = [in_float32(head(features)) for head in self._heads]
        return keras.Model(model.input, [model.output, *outputs], name=f"{model.name}_with_levels")
