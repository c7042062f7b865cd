"""How the machines of a command find each other: an option that commands share."""

from __future__ import annotations

import dataclasses

from trainer.terminal.option import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The option of a command that works on several machines."""

    peer_timeout: float = option(
        300.0,
        "With several machines: seconds to wait at the start for those that are not there yet.",
        group="Machine",
        above=0,
        may_change_on_resume=True,
        since="0.3",
    )
