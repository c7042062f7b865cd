"""Learning rates by depth: one optimizer for each group of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


class GroupedOptimizer:
    """Optimizers that each train one group of variables, and step together.

    It has the part of a Keras optimizer's interface that `trainer.training.step` uses.

    Args:
      groups: the variables of each group.
      build: returns a new optimizer, given the number of its group.

    Attributes:
      iterations: steps taken.
      learning_rate: that of the last group.
      variables: those of all optimizers.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[keras.Variable]],
        build: Callable[[int], keras.optimizers.Optimizer],
    ):
        self._groups = [list(group) for group in groups]
        self._optimizers = [build(number) for number in range(len(self._groups))]

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Creates the optimizers' variables; the groups must hold exactly `variables`."""
        if {id(one) for one in variables} != {id(one) for group in self._groups for one in group}:
            raise ValueError("the groups must hold exactly the variables to train")
        for optimizer, group in zip(self._optimizers, self._groups, strict=True):
            optimizer.build(group)

    def apply(self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> None:
        """Takes a step of each optimizer."""
        of = {id(one): gradient for one, gradient in zip(variables, gradients, strict=True)}
        for optimizer, group in zip(self._optimizers, self._groups, strict=True):
            optimizer.apply([of[id(one)] for one in group], group)

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss itself: float16, which needs scaling, is not for groups."""
        return loss

    @property
    def iterations(self) -> keras.Variable:
        return self._optimizers[-1].iterations

    @property
    def learning_rate(self) -> float:
        return self._optimizers[-1].learning_rate

    @property
    def variables(self) -> list[keras.Variable]:
        return [variable for one in self._optimizers for variable in one.variables]
