"""Every setting of a training run, each described once: flag, default and allowed values.

The settings are in a dataclass per subject, beside this module.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from trainer.settings.data_options import DataOptions
from trainer.settings.experiments import EXPERIMENTS
from trainer.settings.machine_options import MachineOptions
from trainer.settings.network_options import NetworkOptions
from trainer.settings.pseudo_label_options import PseudoLabelOptions
from trainer.settings.training_options import TrainingOptions
from trainer.terminal.option import option, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetOptions:
    """Settings taken together."""

    experiment: str | None = option(
        None,
        "A preset: the settings of one of the study's experiments, or a recommended recipe. Other "
        "flags override it.",
        group="Preset",
        choices=EXPERIMENTS,
    )


# Dataclasses collect the fields of the last base first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(
    MachineOptions,
    TrainingOptions,
    PseudoLabelOptions,
    NetworkOptions,
    DataOptions,
    PresetOptions,
):
    """The settings that `Settings` (requested) and `Config` (resolved) share.

    `trainer.settings.config.Config` narrows the types of those that `resolve` fills in.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(RunOptions):
    """The settings that a user requested.

    None leaves the choice to the network, the data set or the machine.

    Attributes:
      given: names of the settings that the user gave; a preset does not replace those.
    """

    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Settings of which the user gave exactly `values`."""
        return cls(**values, given=frozenset(values))


MAY_CHANGE_ON_RESUME = frozenset(
    name for name, one in options(RunOptions).items() if one.may_change_on_resume
)
