"""How a device runs the training steps."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

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
      xla: whether XLA compiles the step.
      steps_per_call: most steps that the device takes without the host.
      prepare: what the device does with a batch before the network reads it; None: nothing.
    """

    xla: bool = False
    steps_per_call: int = 1
    prepare: Prepare | None = None


def choose_execution(
    config: Config, strategy: tf.distribute.Strategy, prepare: Prepare | None = None
) -> Execution:
    """The execution that the settings ask for; where they leave it open, the machine's best."""
    on_gpu = bool(accelerators())
    # XLA was far slower on processors. It cannot contain the exchange between several devices, nor
    # parts of a batch that differ in size. On a GPU, it has no deterministic gradient of a MaxPool.
    possible = strategy.num_replicas_in_sync == 1 and not config.micro_batch
    wanted = on_gpu and not config.deterministic if config.xla == "auto" else config.xla == "on"
    xla = possible and wanted
    steps = config.steps_per_call or (_STEPS_PER_CALL if on_gpu else 1)
    return Execution(xla, steps, prepare)


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
