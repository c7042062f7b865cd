"""One training step, on one device or several: it connects the data to the network.

The step uses `tf.distribute.Strategy.run` and only Keras's public API: a model, an optimizer,
a loss and metrics. (Keras's own `fit` does not work across machines,
https://github.com/keras-team/keras/issues/20585.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from trainer.data.decoding import Batches
from trainer.models.batch_norms import batch_norms
from trainer.models.grouped_optimizer import GroupedOptimizer
from trainer.models.metrics import FirstNonFiniteStep
from trainer.models.objective import Objective
from trainer.training import devices
from trainer.training.averaged_weights import AveragedWeights
from trainer.training.execution import Execution


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
    """Trains on the next batches with one step of the optimizer each.

    Args:
      model: inputs -> logits [b, classes], or a list of them and of the logits of each level; its
        trainable variables are trained.
      optimizer: the optimizer, which is built here.
      objective: the loss to minimise.
      strategy: the devices.
      ema_momentum: momentum of the averaged weights; 0: no averages.
      clip_norm: largest global norm of the gradient; 0: no limit.
      micro_batch: pictures that go through the network at once, on each device; 0: the whole batch.
        The gradients of a batch's parts are summed, so the step is that of the whole batch, except
        for BatchNorms, which see each part by itself.
      execution: how the device runs the step.

    Attributes:
      metrics: running metrics of the epoch.
      averages: the averaged weights, or None.
      steps_per_call: most steps of one call.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer | GroupedOptimizer,
        objective: Objective,
        strategy: tf.distribute.Strategy,
        *,
        ema_momentum: float = 0.0,
        clip_norm: float = 0.0,
        micro_batch: int = 0,
        execution: Execution | None = None,
    ):
        self.model, self.optimizer, self._strategy = model, optimizer, strategy
        self._objective, self._clip_norm, self._micro_batch = objective, clip_norm, micro_batch
        execution = execution or Execution()
        self._prepare, self.steps_per_call = execution.prepare, execution.steps_per_call
        with strategy.scope():
            optimizer.build(model.trainable_variables)
            self.metrics = RunningMetrics()
            self.averages = (
                AveragedWeights(model.trainable_variables, ema_momentum) if ema_momentum else None
            )
        # Nothing here branches on a tensor: converting the code would only delay the first step.
        options = {"reduce_retracing": True, "autograph": False}
        step, compiled = execution.xla == "step", {"jit_compile": True, **options}
        self._whole = tf.function(self._step, **compiled) if step else self._step
        self._compiled_update = (
            tf.function(self._update, **compiled) if execution.xla == "update" else self._update
        )
        several = self._steps if self.steps_per_call > 1 else self._next
        self._function = tf.function(several, **options)
        # XLA would compile the network a second time for the size of an epoch's last batch.
        apart = step or execution.prepare is not None
        self._last = tf.function(self._next_part, **options) if apart else None

    def __call__(self, batches: Iterator[Any], steps: int = 1, *, is_part: bool = False) -> None:
        """Trains on the next `steps` of `batches`, made by `iterator`.

        Args:
          batches: the batches.
          steps: number of steps, at most `steps_per_call`.
          is_part: whether the next batch, the only one of this call, is smaller than the others.
        """
        if is_part and self._last is not None:
            self._last(batches)
        elif self.steps_per_call > 1:
            self._function(batches, tf.constant(steps))
        else:
            self._function(batches)

    def iterator(self, batches: Batches) -> Iterator[Any]:
        """Iterates over (inputs [b, ...], labels [b]) or (inputs, labels, weights [b]).

        Labels and weights may be [b, k], for pictures with k labels; the first is the main one.
        With several devices, b must be a multiple of their number. Batches travel to the devices
        while the steps before them run.
        """
        return devices.distributed(batches, self._strategy)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    def variables(self, network: keras.Model) -> list[keras.Variable]:
        """All variables that a step or an evaluation reads, each once, in a fixed order.

        Args:
          network: the whole network, of which `model` may be a part.
        """
        # The model may have additional outputs.
        own = [*network.variables, *self.model.variables]
        variables: list[keras.Variable] = [*own, *self.optimizer.variables]
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

    def _steps(self, batches: Iterator[Any], steps: tf.Tensor) -> None:
        """Takes several steps within one call."""

        def take(step: tf.Tensor) -> list[tf.Tensor]:
            self._next(batches)
            return [step + 1]

        tf.while_loop(lambda step: step < steps, take, [tf.constant(0)])

    def _next(self, batches: Iterator[Any]) -> None:
        self._strategy.run(
            functools.partial(self._prepared, self._whole, False), args=next(batches)
        )

    def _next_part(self, batches: Iterator[Any]) -> None:
        step = functools.partial(self._prepared, self._step, True)
        self._strategy.run(step, args=next(batches))

    def _prepared(
        self,
        step: Callable[..., None],
        is_part: bool,
        inputs: Any,
        labels: tf.Tensor,
        weights: tf.Tensor | None = None,
    ) -> None:
        if self._prepare is not None:
            inputs, labels, weights = self._prepare(inputs, labels, weights, is_part=is_part)
        step(inputs, labels, weights)

    def _step(self, inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> None:
        accumulated = self._in_parts if self._micro_batch else self._at_once
        share, logits, gradients = accumulated(inputs, labels, weights)
        self._compiled_update(gradients)
        self._share_statistics()
        loss = share * self._strategy.num_replicas_in_sync
        if labels.shape.rank == 2:
            labels, weights = labels[:, 0], tf.reduce_sum(weights, axis=1)
        self.metrics.update(loss, labels, logits, weights)

    def _update(self, gradients: list[tf.Tensor]) -> None:
        """Updates the weights and their averages."""
        if self._clip_norm:
            gradients = self._clipped(gradients)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        if self.averages is not None:
            self.averages.update(self.optimizer.iterations)

    def _at_once(
        self,
        inputs: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor | None,
        part: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """(share of the loss [], logits, gradients) of pictures that are `part` of a batch."""
        with tf.GradientTape() as tape:
            outputs = self.model(inputs, training=True)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            # A Keras loss is this device's share: the mean over its pictures, divided by the number
            # of devices. The optimizer sums the devices' gradients.
            share = self._objective(labels, outputs, weights)
            if part is not None:
                share *= part
            scaled = self.optimizer.scale_loss(share)
        return share, outputs[0], tape.gradient(scaled, self.model.trainable_variables)

    def _in_parts(
        self, inputs: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Like `_at_once`, with at most `micro_batch` pictures in the network at a time."""
        size = tf.shape(labels)[0]
        classes = self.model.outputs[0].shape[-1]
        logits = tf.TensorArray(
            tf.float32, 0, dynamic_size=True, element_shape=[None, classes], infer_shape=False
        )

        def add(
            begin: tf.Tensor, loss: tf.Tensor, logits: tf.TensorArray, sums: list[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, list[tf.Tensor]]:
            rows = slice(begin, tf.minimum(begin + self._micro_batch, size))
            part = tf.cast((rows.stop - begin) / size, tf.float32)
            share, of_part, gradients = self._at_once(
                inputs[rows], labels[rows], None if weights is None else weights[rows], part
            )
            sums = [total + one for total, one in zip(sums, gradients, strict=True)]
            return rows.stop, loss + share, logits.write(logits.size(), of_part), sums

        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in self.trained_variables()]
        _, loss, logits, gradients = tf.while_loop(
            lambda begin, *_: begin < size,
            add,
            (tf.constant(0), tf.constant(0.0), logits, zeros),
            parallel_iterations=1,
        )
        return loss, logits.concat(), gradients

    def _share_statistics(self) -> None:
        """Gives the BatchNorms of all devices the mean of their moving statistics.

        Each computed its own from its share of the batch. A checkpoint holds one of them, so a run
        that continues could not be exact otherwise. Synchronised BatchNorms are alike already.
        """
        if self._strategy.num_replicas_in_sync == 1:
            return
        moving = [
            variable
            for layer in batch_norms(self.model)
            if layer.trainable and not layer.synchronized
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        if moving:
            context = tf.distribute.get_replica_context()
            # The copies are on the device, as the exchange needs them.
            own = [tf.identity(tf.convert_to_tensor(variable)) for variable in moving]
            means = context.all_reduce(tf.distribute.ReduceOp.MEAN, own)
            for variable, mean in zip(moving, means, strict=True):
                variable.assign(mean)

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Limits the norm of the gradient that the optimizer computes from all devices' shares."""
        replicas = self._strategy.num_replicas_in_sync
        if replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        limit = self._clip_norm * self.optimizer.scale_loss(tf.constant(1.0))
        clipped, _ = tf.clip_by_global_norm(gradients, limit)
        # The optimizer sums the devices' gradients, which are all the whole one now.
        return clipped if replicas == 1 else [gradient / replicas for gradient in clipped]
