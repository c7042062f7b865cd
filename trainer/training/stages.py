"""The stages of a run: which part of the network trains in which epochs."""

from __future__ import annotations

import dataclasses

from trainer.settings.config import Config


@dataclasses.dataclass(frozen=True)
class Stage:
    """Epochs [first, end) that train one part of the network with their own optimizer.

    Attributes:
      name: the part, as `trainer.models.networks.set_trainable` takes it.
      first, end: epochs, counted from 0.
      learning_rate: learning rate, or the peak of its schedule.
    """

    name: str
    first: int
    end: int
    learning_rate: float


def stages(config: Config) -> list[Stage]:
    """One stage; or, for `staged`, the new layers first and then the top blocks as well."""
    if config.trainable != "staged":
        return [Stage(config.trainable, 0, config.epochs, config.learning_rate)]
    head_end = min(config.head_epochs, config.epochs)
    head = Stage("head", 0, head_end, config.learning_rate)
    if head_end == config.epochs:
        return [head]
    return [head, Stage("top_blocks", head_end, config.epochs, config.fine_tune_learning_rate)]
