"""What a fused run is made of: the runs whose features it joins, and how it joins them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainer.models.fusion_table import JOINS


@dataclasses.dataclass(frozen=True)
class FusedMember:
    """A finished run whose features a fused run takes: those of its best checkpoint.

    Attributes:
      path: the run's folder, relative to that of the fused run.
      sha256: SHA-256 of its weights file.
      epoch: their epoch, counted from 0.
      settings_sha256: the digest of its settings.
      model: its network.
      train_split: the products that it was trained on.
      features: number of features of a picture.
    """

    path: str
    sha256: str
    epoch: int
    settings_sha256: str
    model: str
    train_split: str
    features: int


@dataclasses.dataclass(frozen=True)
class Fusion:
    """The settings of a fused run's network, beside those that every run has.

    Attributes:
      members: the runs whose features are concatenated, in this order.
      units, join: as `trainer.models.fusion.build_fusion` takes them.
      picture_dropout: probability that training leaves out a picture; at least one stays.
      flip: whether features are the means of those of a picture and of its mirror image.
    """

    members: tuple[FusedMember, ...]
    units: int
    join: str
    picture_dropout: float
    flip: bool

    @property
    def size(self) -> int:
        """Number of features of a picture, from all members together."""
        return sum(member.features for member in self.members)

    def of_result(self) -> dict[str, Any]:
        """What the run's result depends on: by flag of `trainer.fuse`.

        The members' places are not in it: a member may move.
        """
        return {
            "run_dirs": [
                {"sha256": member.sha256, "settings_sha256": member.settings_sha256}
                for member in self.members
            ],
            "units": self.units,
            "join": self.join,
            "picture_dropout": self.picture_dropout,
            "flip": self.flip,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fusion:
        """Reads what `dataclasses.asdict` gives.

        Raises:
          ValueError, TypeError, KeyError: if it is something else.
        """
        members = tuple(FusedMember(**member) for member in values["members"])
        fusion = cls(**dict(values) | {"members": members})
        right = (
            members
            and all(isinstance(one.features, int) and one.features > 0 for one in members)
            and isinstance(fusion.units, int)
            and fusion.units > 0
            and fusion.join in JOINS
            and 0 <= fusion.picture_dropout < 1
            and isinstance(fusion.flip, bool)
        )
        if not right:
            raise ValueError("a value that no fused run has")
        return fusion
