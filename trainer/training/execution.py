"""How a device runs the training steps."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import tensorflow as tf

from trainer.settings.config import Config
from trainer.training.devices import accelerators


class Prepare(Protocol):
    """What a device does with a batch before the network reads it."""

    def __call__(
        self, inputs: Any, labels: tf.Tensor, weights: tf.Tensor | None, *, is_part: bool
    ) -> tuple[Any, tf.Tensor, tf.Tensor | None]:
        """(inputs, labels, weights) of a batch, which is smaller than the others if `is_part`."""


# With --steps_per_call=auto on a GPU. No more: the check for non-finite losses is due as often.
_STEPS_PER_CALL = 10


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the device runs a step.

    Attributes:
      xla: what XLA compiles: the whole step, the update of the weights, or nothing.
      steps_per_call: most steps that the device takes without the host.
      prepare: what the device does with a batch before the network reads it; None: nothing.
    """

    xla: Literal["step", "update", "nothing"] = "nothing"
    steps_per_call: int = 1
    prepare: Prepare | None = None


def choose_execution(
    config: Config, strategy: tf.distribute.Strategy, prepare: Prepare | None = None
) -> Execution:
    """The execution that the settings ask for; where they leave it open, the machine's best."""
    on_gpu = bool(accelerators())
    steps = config.steps_per_call or (_STEPS_PER_CALL if on_gpu else 1)
    return Execution(_compiled(config, strategy, on_gpu), steps, prepare)


def _compiled(
    config: Config, strategy: tf.distribute.Strategy, on_gpu: bool
) -> Literal["step", "update", "nothing"]:
    """What XLA compiles.

    XLA cannot contain the exchange between several devices. An update without it is some 15 small
    operations per variable: an H100 waited two thirds of InceptionV3's time for their launches.
    """
    if config.xla == "off" or strategy.num_replicas_in_sync > 1:
        return "nothing"
    if config.micro_batch:  # XLA cannot take parts of a batch that differ in size
        return "update" if on_gpu or config.xla == "on" else "nothing"
    if config.xla == "on":
        return "step"
    if not on_gpu:  # the step was far slower on processors
        return "nothing"
    # XLA has no deterministic gradient of a MaxPool on GPUs.
    return "update" if config.deterministic else "step"


@contextlib.contextmanager
def arithmetic(config: Config) -> Iterator[None]:
    """Within the block, a GPU computes as the settings ask.

    TensorFlow's own default for float32 is TF32, with 10 bits of mantissa. Deterministic operations
    stay on for the rest of the process: TensorFlow cannot switch them off.
    """
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    if config.deterministic and tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    try:
        tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
