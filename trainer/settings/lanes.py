"""Which settings a run with lanes, or on several machines, can have."""

from __future__ import annotations

from trainer.settings.config import Config, ConfigError


def require_lanes(config: Config, machines: int) -> None:
    """Raises ConfigError for settings that do not work with a run's lanes or machines.

    Args:
      config: resolved settings.
      machines: number of machines to train on.
    """
    if machines > config.lanes:
        raise ConfigError(
            "Each machine needs a lane of its own. Received: "
            f"{machines} machines and --lanes={config.lanes}"
            f"{'' if config.lanes > 1 else ' (a run that was begun on one machine has one)'}. "
            "Use as many machines, or begin a new run with more lanes."
        )
    if config.lanes > 1 and config.decoder == "dali":
        raise ConfigError(
            f"--decoder=dali cannot be used with --lanes={config.lanes} yet. Use --decoder=tf, or "
            "train on one machine with one lane."
        )
