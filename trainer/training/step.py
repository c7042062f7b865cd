"""One training step, on one device or several: it connects the data to the network.

The step uses `tf.distribute.Strategy.run` and only Keras's public API: a model, an optimizer,
a loss and metrics. (Keras's own `fit` does not work across machines,
https://github.com/keras-team/keras/issues/20585.)
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.models.metrics import FirstNonFiniteStep
from trainer.training.averaged_weights import AveragedWeights


@dataclasses.dataclass(frozen=True)
class MetricValues:
    """Means since the epoch began, and the first step (from 0) with non-finite outputs, or -1."""

    loss: float
    accuracy: float
    first_nonfinite_step: int


class RunningMetrics:
    """Means of loss and accuracy over an epoch's pictures, kept on the device.

    Reading them waits for the device, so nothing reads them at every step.
    """

    def __init__(self) -> None:
        self._loss = keras.metrics.Mean(name="loss")
        self._nonfinite = FirstNonFiniteStep()
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self._all = (self._loss, self._nonfinite, self._accuracy)

    def update(
        self, loss: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None
    ) -> None:
        """Adds a batch: its mean loss [], labels [b], logits [b, classes], weights [b]."""
        self._loss.update_state(loss, sample_weight=tf.shape(labels)[0])
        self._nonfinite.update_state(labels, logits)
        self._accuracy.update_state(labels, logits, sample_weight=weights)

    def values(self) -> MetricValues:
        """The means so far; waits for the device."""
        return MetricValues(
            float(self._loss.result()),
            float(self._accuracy.result()),
            int(self._nonfinite.result()),
        )

    def reset(self) -> None:
        """Resets the metrics, as at the start of an epoch."""
        for metric in self._all:
            metric.reset_state()

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables of the metrics, in a fixed order."""
        return [variable for metric in self._all for variable in metric.variables]


class TrainStep:
    """Trains on the next batch with one step of the optimizer.

    Args:
      model: inputs -> logits [b, classes]; its trainable variables are trained.
      optimizer: the optimizer, which is built here.
      loss: loss of labels and logits, averaged over the batch.
      strategy: the devices.
      ema_momentum: momentum of the averaged weights; 0: no averages.

    Attributes:
      metrics: running metrics of the epoch.
      averages: the averaged weights, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss,
        strategy: tf.distribute.Strategy,
        ema_momentum: float = 0.0,
    ):
        self.model, self.optimizer, self._loss, self._strategy = model, optimizer, loss, strategy
        with strategy.scope():
            optimizer.build(model.trainable_variables)
            self.metrics = RunningMetrics()
            self.averages = (
                AveragedWeights(model.trainable_variables, ema_momentum) if ema_momentum else None
            )
        one_device = strategy.num_replicas_in_sync == 1
        # XLA was far slower on a CPU, and cannot contain the exchange between several devices.
        jit = one_device and bool(tf.config.list_physical_devices("GPU"))
        # Nothing here branches on a tensor: converting the code would only delay the first step.
        options = {"reduce_retracing": True, "autograph": False}
        self._on_one_device = (
            tf.function(self._step, jit_compile=True, **options) if jit else self._step
        )
        self._function = tf.function(self._on_all_devices, **options)

    def __call__(self, batches: Iterator[Any]) -> None:
        """Trains on the next of `batches`, made by `iterator`."""
        self._function(batches)

    def iterator(self, batches: tf.data.Dataset) -> Iterator[Any]:
        """Iterates over (inputs [b, ...], labels [b]) or (inputs, labels, weights [b]).

        With several devices, b must be a multiple of their number.
        """
        return iter(self._strategy.experimental_distribute_dataset(batches))

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def variables(self, network: keras.Model) -> list[keras.Variable]:
        """All variables that a step or an evaluation reads, each once, in a fixed order.

        Args:
          network: the whole network, of which `model` may be a part.
        """
        variables: list[keras.Variable] = [*network.variables, *self.optimizer.variables]
        if inner := getattr(self.optimizer, "inner_optimizer", None):  # LossScaleOptimizer
            variables += inner.variables
        if self.averages is not None:
            variables += self.averages.variables
        variables += self.metrics.variables
        return list({id(variable): variable for variable in variables}.values())

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Within the block, the network has the averaged weights, if there are any."""
        return contextlib.nullcontext() if self.averages is None else self.averages.applied()

    def trained_variables(self) -> Sequence[keras.Variable]:
        """The variables that the optimizer updates."""
        return self.model.trainable_variables

    def _on_all_devices(self, batches: Iterator[Any]) -> None:
        self._strategy.run(self._on_one_device, args=next(batches))

    def _step(self, inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> None:
        trained = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(inputs, training=True)
            # A Keras loss is this device's share: the mean over its pictures, divided by the number
            # of devices. The optimizer sums the devices' gradients.
            share = self._loss(labels, logits, sample_weight=weights)
            scaled = self.optimizer.scale_loss(share)
        gradients = tape.gradient(scaled, trained)
        self.optimizer.apply(gradients, trained)
        if self.averages is not None:
            self.averages.update(self.optimizer.iterations)
        loss = share * self._strategy.num_replicas_in_sync
        self.metrics.update(loss, labels, logits, weights)
