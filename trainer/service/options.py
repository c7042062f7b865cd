"""The flags of the service: where it listens, how it forms batches, and what it refuses."""

from __future__ import annotations

import dataclasses
import re

from trainer.prediction.joining_rules import MEANS
from trainer.prediction.serving_batches import MAX_BATCH, MAX_WAIT_MS
from trainer.terminal.option import OptionError, option

_SERVICE, _BATCHES, _LIMITS, _PREDICTION = "Service", "Batches", "Limits", "Prediction"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
MEGABYTE = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """How the service works; the networks are chosen elsewhere."""

    port: int = option(
        8501, "Port to listen on; 0: any free one.", group=_SERVICE, at_least=0, at_most=65535
    )
    host: str = option(
        "127.0.0.1",
        "Address to listen on. The default is for this machine alone; 0.0.0.0 is for all that can "
        "reach it. The service asks nobody who they are: put a proxy before it on the internet.",
        group=_SERVICE,
    )
    name: str | None = option(
        None,
        "Name of the model in the service's addresses: letters, digits, dots, underscores and "
        "hyphens. Default: that of the run's folder, or `mixture` for several runs.",
        group=_SERVICE,
    )
    mean: str = option(
        "arithmetic",
        "How to join the probabilities of a product's pictures.",
        group=_PREDICTION,
        choices=MEANS,
    )
    top: int = option(5, "How many classes to name.", group=_PREDICTION, at_least=1)
    all_probabilities: bool = option(
        True,
        "Whether predictions list the probabilities of all classes, as the SavedModel does. "
        "--noall_probabilities makes answers shorter by about 20 bytes a class.",
        group=_PREDICTION,
    )
    max_batch: int = option(
        MAX_BATCH, "Pictures that the network sees at a time, at most.", group=_BATCHES, at_least=1
    )
    max_wait_ms: float = option(
        MAX_WAIT_MS,
        "Milliseconds that the first picture of a batch waits for others while the network is "
        "idle.",
        group=_BATCHES,
        at_least=0,
        at_most=10_000,
    )
    max_waiting: int = option(
        512,
        "Pictures in work or waiting, at most. Beyond that, requests get status 429.",
        group=_BATCHES,
        at_least=1,
    )
    max_pictures: int = option(64, "Pictures in a request, at most.", group=_LIMITS, at_least=1)
    max_pixels: int = option(
        1 << 25, "Pixels that a picture's header may declare.", group=_LIMITS, at_least=1
    )
    max_body_mb: int = option(
        32, "Megabytes of a request, at most.", group=_LIMITS, at_least=1, at_most=2047
    )
    max_memory_mb: int = option(
        256, "Megabytes of all requests that are in work, at most.", group=_LIMITS, at_least=1
    )
    max_connections: int = option(
        500, "Open connections, at most. Others get status 503.", group=_LIMITS, at_least=1
    )
    client_timeout: float = option(
        30.0,
        "Seconds that a client may take to send a request, and to take its answer.",
        group=_LIMITS,
        above=0,
    )
    grace: float = option(
        30.0,
        "Seconds that requests in work get to finish after SIGTERM or Ctrl-C.",
        group=_SERVICE,
        at_least=0,
    )

    def require_consistent(self) -> None:
        """Raises OptionError if the name cannot stand in an address or limits contradict."""
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise OptionError(
                "--name must consist of letters, digits, dots, underscores and hyphens. Received: "
                f"{self.name!r}."
            )
        if self.max_waiting < self.max_pictures:
            raise OptionError(
                "--max_waiting must be at least --max_pictures, or a request that is allowed "
                f"could never be taken. Received: {self.max_waiting} and {self.max_pictures}."
            )
        if self.max_memory_mb < self.max_body_mb:
            raise OptionError(
                "--max_memory_mb must be at least --max_body_mb, or a request that is allowed "
                f"could never be taken. Received: {self.max_memory_mb} and {self.max_body_mb}."
            )


def name_of(folder: str) -> str:
    """The name of a model, from that of a folder: what cannot stand in an address becomes `-`."""
    return "-".join(_NAME.findall(folder)) or "model"
