"""Rows of the benchmarks' table: as text for a terminal, as JSON for a program."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
      part: the part of the benchmarks that measured it.
      what: the measured quantity.
      peer: the reference for comparison; empty without one.
      unit: unit of `ours` and `theirs`.
      ours: median over the turns; None if not measured, and `note` gives the reason.
      theirs: the peer's median.
      ratio: median over the turns of each turn's ours / theirs, or a quotient of ours alone.
      spread: the smallest and the largest ratio of a turn.
      at_least, at_most: target for the ratio, or for `ours` without a ratio.
      note: information for the reader: how we computed it, or why it missed the target.
    """

    part: str
    what: str
    peer: str = ""
    unit: str = ""
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """`>= 4`, `<= 2`, or an empty string."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def reached(self) -> bool | None:
        """Whether the row meets its target; None without a target or a measurement."""
        value = self.ours if self.ratio is None else self.ratio
        if value is None or not self.target:
            return None
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.at_most

    def to_json(self) -> dict[str, Any]:
        """All attributes of the row, for `json.dump`."""
        return dataclasses.asdict(self) | {"target": self.target, "reached": self.reached}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Row:
        """The inverse of `to_json`."""
        fields = {name: values[name] for name in values if name not in ("target", "reached")}
        if fields["spread"] is not None:
            fields["spread"] = tuple(fields["spread"])
        return cls(**fields)


def compare(
    part: str,
    what: str,
    peer: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    **others: Any,
) -> Row:
    """The row of runs that took turns.

    Args:
      part, what, peer, unit: as in Row.
      ours, theirs: one value per turn, in the order of the turns.
      **others: further attributes of the Row.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Row(
        part,
        what,
        peer,
        unit,
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(ratios),
        (min(ratios), max(ratios)),
        **others,
    )


_COLUMNS = ("what", "against", "ours", "theirs", "unit", "ratio", "(of one turn)", "target", "")


def table(rows: Sequence[Row]) -> str:
    """The rows as text: aligned columns, and the notes below them."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    numbers = {2, 3, 5}
    lines = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    notes = [f"* {row.part}, {_name(row)}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "reached", False: "MISSED", None: ""}[row.reached]
    return (
        f"{row.part}: {row.what}",
        row.peer,
        _number(row.ours) or "-",
        _number(row.theirs),
        row.unit,
        _number(row.ratio),
        "" if row.spread is None else f"{_number(row.spread[0])} to {_number(row.spread[1])}",
        row.target,
        f"{verdict}{' *' if row.note else ''}".strip(),
    )


def _name(row: Row) -> str:
    return f"{row.what} against {row.peer}" if row.peer else row.what


def _number(value: float | None) -> str:
    """The value with at least three digits: 12,345, 123, 12.3, 1.23, 0.123."""
    if value is None:
        return ""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}"
