"""Builds optimizers and learning rate schedules by their names in `optimizer_table`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from trainer.models.optimizer_table import OPTIMIZERS, SCHEDULES

# `step`: after this share of the steps, the rate is the peak times this factor. The competition's
# best networks gained most at such drops.
STEP_DROPS = ((0.5, 0.1), (0.75, 0.01))

# Biases and BatchNorm parameters are not decayed: they do not overfit, and decay moves the outputs.
_NOT_DECAYED = ["bias", "beta", "gamma"]


class OptimizerError(ValueError):
    """An optimizer that cannot be built as requested."""


@keras.saving.register_keras_serializable("trainer")
class LinearWarmup(schedules.LearningRateSchedule):
    """Rises linearly from peak/steps at step 0 to the peak, then follows `after` from its step 0.

    It depends only on the optimizer's step, so a resumed run needs only that counter.
    """

    def __init__(self, after: schedules.LearningRateSchedule, steps: int):
        super().__init__()
        self.after, self.steps = after, steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rising = ops.minimum((step + 1) / self.steps, 1.0)
        return rising * self.after(ops.maximum(step - self.steps, 0.0))

    def get_config(self) -> dict[str, Any]:
        return {"after": schedules.serialize(self.after), "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LinearWarmup:
        return cls(schedules.deserialize(config["after"]), config["steps"])


def build_schedule(
    peak: float, schedule: str = "constant", total_steps: int | None = None, warmup_steps: int = 0
) -> float | schedules.LearningRateSchedule:
    """Builds the learning rate as a function of the step.

    Args:
      peak: highest learning rate.
      schedule: `constant`; `cosine`: half a cosine from the peak to 0; `step`: see `STEP_DROPS`.
      total_steps: number of all steps, warm-up included; `constant` does not need it.
      warmup_steps: number of steps over which the rate first rises linearly to the peak.

    Raises:
      OptimizerError: if there is no such schedule, or no step is left after the warm-up.
    """
    if schedule not in SCHEDULES:
        raise OptimizerError(
            f"`schedule` must be one of {', '.join(SCHEDULES)}. Received: {schedule!r}."
        )
    if schedule == "constant":
        if not warmup_steps:
            return peak
        # One value throughout: Keras has no simpler constant schedule.
        return LinearWarmup(schedules.PiecewiseConstantDecay([1], [peak, peak]), warmup_steps)
    if total_steps is None or total_steps <= warmup_steps:
        raise OptimizerError(
            f"The schedule {schedule!r} needs more steps in all than warm-up steps. Received: "
            f"total_steps={total_steps}, warmup_steps={warmup_steps}. Train for more epochs, or "
            "warm up for fewer."
        )
    steps = total_steps - warmup_steps
    if schedule == "cosine":
        course = schedules.CosineDecay(peak, steps)
    else:
        # Keras changes the value after a boundary, not at it.
        boundaries = [round(share * steps) - 1 for share, _ in STEP_DROPS]
        course = schedules.PiecewiseConstantDecay(
            boundaries, [peak, *(peak * factor for _, factor in STEP_DROPS)]
        )
    return LinearWarmup(course, warmup_steps) if warmup_steps else course


def build_optimizer(
    name: str,
    learning_rate: float | None = None,
    *,
    schedule: str = "constant",
    total_steps: int | None = None,
    warmup_steps: int = 0,
    weight_decay: float | None = None,
    ema_momentum: float = 0.0,
    policy: str = "float32",
) -> keras.optimizers.Optimizer:
    """Builds one of `OPTIMIZERS`.

    Args:
      name: key of `OPTIMIZERS`.
      learning_rate: peak of the schedule; None: the optimizer's default.
      schedule, total_steps, warmup_steps: see `build_schedule`.
      weight_decay: decoupled, on kernels only; None: the optimizer's default.
      ema_momentum: momentum of the optimizer's own moving average of the weights; 0: none.
      policy: dtype policy of the network; under `mixed_float16` the loss is scaled.

    Raises:
      OptimizerError: if there is no such optimizer or schedule.
    """
    if name not in OPTIMIZERS:
        raise OptimizerError(
            f"`optimizer` must be one of {', '.join(OPTIMIZERS)}. Received: {name!r}."
        )
    entry = OPTIMIZERS[name]
    peak = entry.learning_rate if learning_rate is None else learning_rate
    decay = entry.weight_decay if weight_decay is None else weight_decay
    average = {"use_ema": True, "ema_momentum": ema_momentum} if ema_momentum else {}
    optimizer = getattr(keras.optimizers, entry.class_name)(
        build_schedule(peak, schedule, total_steps, warmup_steps),
        # None saves a pass over the weights; AdamW does not accept it.
        weight_decay=decay if decay or name == "adamw" else None,
        **entry.settings,
        **average,
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    if policy == "mixed_float16":
        # Wrapped here, not by `compile`: an optimizer that Keras wraps itself loses its state when
        # restored under another policy.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
