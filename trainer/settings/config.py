"""The resolved settings of a run, which are stored as config.json in its folder."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from trainer.data.augmentation_table import AUGMENTATIONS, Augmentation
from trainer.models.fusion_table import FUSION
from trainer.models.network_table import MODELS
from trainer.settings.fusion import Fusion
from trainer.settings.settings import MAY_CHANGE_ON_RESUME, RunOptions
from trainer.terminal.option import OptionError, options, require_allowed

# Version 0.1 of the project wrote format 1, without a number.
FORMAT = 2


class ConfigError(ValueError):
    """A setting is not usable, or contradicts the run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunOptions):
    """A run's settings, all of them resolved.

    Attributes:
      data_dir: absolute path; None in a run that version 0.1 started with TFDS's default.
      model: one of `MODELS`; FUSION for a fused run.
      input_range: None only for a network that scales each channel in its own way, and for a fused
        run, whose members have theirs.
      chunks: one (train, validation) pair of splits per epoch, as in the study's training in
        chunks; None: the same pair in every epoch.
      within_level1: level-1 label whose categories a two-stage run's specialist predicts; else
        None.
      fusion: of a fused run, what it is made of; else None. Such a run trains on products, and
        `batch_size` counts them.
    """

    # `field()` removes the base class's default.
    weights: str = dataclasses.field()
    trainable: str = dataclasses.field()
    input_range: tuple[float, float] | None = dataclasses.field()
    learning_rate: float = dataclasses.field()
    fine_tune_learning_rate: float = dataclasses.field()
    schedule: str = dataclasses.field()
    warmup_epochs: float = dataclasses.field()
    augment: str = dataclasses.field()
    eval_batch_size: int = dataclasses.field()
    chunks: tuple[tuple[str, str], ...] | None = None
    within_level1: int | None = None
    fusion: Fusion | None = None

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        return json.dumps({"format": FORMAT} | dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, path: object = "config.json") -> Config:
        """Reads what `to_json` wrote, in this version or in 0.1.

        Args:
          text: the file's content.
          path: the file, for error messages.

        Raises:
          ConfigError: if it is unreadable, has a newer format, lacks settings, or holds unknown
            settings or invalid values.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            number = values.pop("format", 1)
        except (ValueError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{path} must hold a run's settings as JSON. It cannot be read "
                f"({type(error).__name__}). Restore the file."
            ) from error
        if not isinstance(number, int) or number > FORMAT:
            raise ConfigError(
                f"{path} is of format {number}, which a newer version of the project wrote. This "
                f"one reads formats up to {FORMAT}. Update the project."
            )
        _require_names(cls, values, path)
        for name, one in options(RunOptions).items():
            if (one.kind is tuple or one.is_list) and values.get(name) is not None:
                values[name] = tuple(values[name])
        if values.get("chunks") is not None:
            values["chunks"] = tuple(tuple(pair) for pair in values["chunks"])
        if values.get("fusion") is not None:
            values["fusion"] = _read_fusion(values, path)
        config = cls(**values)
        described = dict(options(RunOptions))
        if config.fusion is not None:
            del described["model"]
        try:
            require_allowed(described.values(), config)
        except OptionError as error:
            raise ConfigError(f"{path}: {error} Restore the file.") from None
        return config

    @property
    def train_splits(self) -> tuple[str, ...]:
        """The products that the run learnt from, each split once; a fused run's members' too."""
        members = self.fusion.members if self.fusion is not None else ()
        return tuple(dict.fromkeys([self.train_split, *(one.train_split for one in members)]))

    def picture_size(self, epoch: int) -> int:
        """Width and height of the training pictures of an epoch, counted from 0."""
        sizes = self.train_sizes or (self.image_size,)
        return sizes[min(epoch * len(sizes) // self.epochs, len(sizes) - 1)]

    @property
    def augmentation(self) -> Augmentation:
        """The random changes to the training pictures."""
        parts = {field.name for field in dataclasses.fields(Augmentation)}
        settings = {name: getattr(self, name) for name in parts & options(RunOptions).keys()}
        return dataclasses.replace(AUGMENTATIONS[self.augment], **settings)

    def of_result(self) -> dict[str, Any]:
        """The settings that a run's result depends on: those that must not change on resume."""
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in {"fusion", *MAY_CHANGE_ON_RESUME}
        }
        return own | ({} if self.fusion is None else self.fusion.of_result())

    def differences(self, other: Config) -> dict[str, tuple[Any, Any]]:
        """Settings that make `other` a different run: name -> (this value, other's value)."""
        ours, theirs = self.of_result(), other.of_result()
        return {
            name: (ours.get(name), theirs.get(name))
            for name in ours | theirs
            if ours.get(name) != theirs.get(name)
        }


def _require_names(cls: type[Config], values: dict[str, Any], path: object) -> None:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - set(fields)):
        raise ConfigError(
            f"{path} may hold only the settings of this version. It also holds "
            f"{', '.join(unknown)}. Use the version of the project that wrote it."
        )
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    without_range = _scales_channels(values.get("model")) or values.get("fusion") is not None
    if "input_range" in values and without_range:
        needed.remove("input_range")
    if missing := sorted(name for name in needed if values.get(name) is None):
        raise ConfigError(
            f"{path} must hold every setting of the run. It lacks {', '.join(missing)}. Restore "
            "the file."
        )


def _scales_channels(model: object) -> bool:
    """Whether a network has no range, because it scales each channel in its own way."""
    return isinstance(model, str) and model in MODELS and MODELS[model].input_range is None


def _read_fusion(values: dict[str, Any], path: object) -> Fusion:
    try:
        fusion = Fusion.from_json(values["fusion"])
        if values["model"] != FUSION:
            raise ValueError(f"the model {values['model']!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} must say which runs a fused run is made of. It cannot be read ({error}). "
            "Restore the file."
        ) from None
    return fusion
