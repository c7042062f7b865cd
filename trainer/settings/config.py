"""Every setting of a training run, in one value that a run's folder keeps as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

# Settings that may differ when a run is continued: they change how long it goes on, where its
# data lie or what is logged, never the result of a step already taken. `decoder` is among them so
# that a run outlives a picture that DALI refuses; `trainer.training.train` warns of the change.
MAY_CHANGE_ON_RESUME = frozenset(
    {
        "data_dir",
        "epochs",
        "checkpoint_minutes",
        "checkpoint_steps",
        "decoder",
        "early_stopping",
        "eval_batch_size",
        "features_dir",
        "log_every_steps",
        "profile_steps",
    }
)


class ConfigError(ValueError):
    """A setting that cannot be used, or that contradicts the run it is given for."""


@dataclasses.dataclass(frozen=True)
class Config:
    """A run's settings. None stands for "the default of the chosen network or machine"."""

    # Data.
    data_dir: str | None = None
    train_split: str = "train[:80%]"
    validation_split: str = "train[80%:]"
    # One (train, validation) pair an epoch instead: the study's training in chunks.
    chunks: tuple[tuple[str, str], ...] | None = None
    target: str = "category"
    within_level1: int | None = None
    # Network.
    model: str = "cnn"
    weights: str | None = None
    trainable: str | None = None
    head_epochs: int = 2
    cache_features: bool = True
    image_size: int = 180
    input_range: tuple[float, float] | None = None
    dropout: float | None = None
    # Training.
    optimizer: str = "adam"
    learning_rate: float | None = None
    fine_tune_learning_rate: float | None = None
    schedule: str | None = None
    warmup_epochs: float | None = None
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    augment: str | None = None
    batch_size: int = 32
    epochs: int = 10
    early_stopping: int = 0
    ema_momentum: float = 0.0
    precision: str = "auto"
    seed: int = 0
    shuffle_buffer: int = 16384
    experiment: str | None = None
    # The machine and the log.
    decoder: str = "auto"
    features_dir: str | None = None
    eval_batch_size: int | None = None
    log_every_steps: int = 50
    checkpoint_minutes: float = 10.0
    checkpoint_steps: int = 0
    profile_steps: int = 0

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads what `to_json` wrote; a setting this version does not know is an error."""
        values: dict[str, Any] = json.loads(text)
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(
                f"A run's config may hold only the settings of this version. Received also: "
                f"{', '.join(unknown)}. Use the version of the project that wrote it."
            )
        if values.get("input_range") is not None:
            values["input_range"] = tuple(values["input_range"])
        if values.get("chunks") is not None:
            values["chunks"] = tuple(tuple(pair) for pair in values["chunks"])
        return cls(**values)

    def differences(self, other: Config) -> dict[str, tuple[Any, Any]]:
        """Settings that make `other` a different run: name -> (this value, other's value)."""
        return {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if field.name not in MAY_CHANGE_ON_RESUME
            and getattr(self, field.name) != getattr(other, field.name)
        }
