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
    if config.lanes > 1:
        _refuse(f"with --lanes={config.lanes}", {"--decoder=dali": config.decoder == "dali"})
    if machines > 1:
        _refuse(
            f"on {machines} machines",
            {
                "--pseudo_label_split": config.pseudo_label_split is not None,
                "--recalibrate": config.recalibrate > 0,
            },
        )


def _refuse(where: str, settings: dict[str, bool]) -> None:
    if received := [name for name, given in settings.items() if given]:
        raise ConfigError(
            f"{' and '.join(received)} cannot be used {where} yet. Train on one machine with one "
            "lane, or with another choice."
        )
