"""Evaluations of several runs, without a network."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.runs.prediction_method import MemberRun, Mixture, WeightFit


def mixture_of(runs: Mapping[str, str], fit: WeightFit | None = None) -> Mixture:
    """A mixture of equal shares; `runs` gives the SHA-256 of each run's weights by its name."""
    members = tuple(
        MemberRun(name, "best", 0, sha256, 1 / len(runs), "arithmetic", None)
        for name, sha256 in runs.items()
    )
    return Mixture("geometric", members, fit)
