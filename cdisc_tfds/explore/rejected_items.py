"""What the build left out of a data set, from its `rejected.jsonl`."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from cdisc_tfds.build.rejections import FILE
from cdisc_tfds.built_dataset import COPY_OR_BUILD, BuiltDataset, DatasetError
from cdisc_tfds.products import KINDS

_NUMBER = re.compile(r"\b[0-9a-f]{2}(?: [0-9a-f]{2})+\b|-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_MOST_REASONS = 10_000


@dataclasses.dataclass(frozen=True)
class RejectedItems:
    """What the build left out.

    Attributes:
      counts: split -> kind (picture, product, bytes) -> number; empty if the metadata lacks them.
      reasons: (split, kind, reason) -> number; an ellipsis replaces numbers and quoted values in a
        reason, so that like reasons count together.
      first: the first lines of the file, as (split, kind, product, picture, reason).
      has_list: whether the data set has a list.
    """

    counts: Mapping[str, Mapping[str, int]]
    reasons: Mapping[tuple[str, str, str], int]
    first: tuple[tuple[str, str, int | None, int | None, str], ...]
    has_list: bool

    @property
    def total(self) -> int:
        return sum(sum(kinds.values()) for kinds in self.counts.values())

    @classmethod
    def of(cls, data: BuiltDataset, number: int = 30) -> RejectedItems:
        """Reads the list line by line, and keeps the first `number` items.

        Raises:
          DatasetError: a line is not as the build writes it.
        """
        counts = data.metadata("rejected") or {}
        path = data.data_path / FILE
        reasons: collections.Counter[tuple[str, str, str]] = collections.Counter()
        first: list[tuple[str, str, int | None, int | None, str]] = []
        if not path.exists():
            return cls(counts, reasons, (), False)
        with open(path, encoding="utf-8") as file:
            for line_number, line in enumerate(file, 1):
                item = _item(line, f"line {line_number} of {path}")
                reason = _NUMBER.sub("…", _QUOTED.sub("…", item["reason"]))
                key = (item["split"], item["kind"], reason)
                if key not in reasons and len(reasons) >= _MOST_REASONS:
                    key = (item["split"], item["kind"], "other reasons")
                reasons[key] += item.get("count", 1)
                if len(first) < number:
                    first.append(
                        (*key[:2], item.get("product"), item.get("picture"), item["reason"])
                    )
        return cls(counts, reasons, tuple(first), True)


def _item(line: str, place: str) -> dict[str, Any]:
    try:
        item: dict[str, Any] = json.loads(line)
        if item["kind"] in KINDS and isinstance(item["reason"], str) and item["split"]:
            return item
    except (ValueError, KeyError, TypeError):
        pass
    raise DatasetError(
        f"Each line of {FILE} must be an item that the build left out. Received, as {place}: "
        f"{line[:80]!r}. {COPY_OR_BUILD}"
    )
