"""What one section has to measure, and what it found: two JSON files between two processes.

    python -m benchmarks.gpu_check.SECTION TASK.json RESULT.json

The result is written whole after each row, so that a process that is killed leaves what it had.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.settings import Settings
from benchmarks.table import Row
from cdisc_tfds.whole_files import write_json

# The arithmetic by name, as settings of the trainer. NVIDIA's TF32 rounds float32's factors to 10
# bits, on tensor cores.
PRECISIONS: dict[str, dict[str, Any]] = {
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "float32": {"precision": "float32", "tf32": False},
    "tf32": {"precision": "float32", "tf32": True},
    "mixed_float16": {"precision": "mixed_float16"},
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One section's work.

    Attributes:
      settings: data and sizes; see `benchmarks.settings`.
      network: name of the network; empty for sections without one.
      precision: key of PRECISIONS.
      batch_size: pictures per step.
      changes: further settings of the trainer, (name, value) each.
      seconds_left: time limit of the section; `benchmarks.gpu` ends it then.
      tests: file or folder of tests, for the section `tests`.
      torch_python: the Python that has PyTorch.
      earlier: rows of the sections before.
      began: Unix time at which the section's process was started.
    """

    settings: Settings
    network: str = ""
    precision: str = "float32"
    batch_size: int = 20
    changes: tuple[tuple[str, Any], ...] = ()
    seconds_left: float = 600.0
    tests: str = "tests/gpu"
    torch_python: str = sys.executable
    earlier: tuple[Row, ...] = ()
    began: float = 0.0

    @property
    def label(self) -> str:
        """The network and how it is trained, as the rows name it."""
        changes = "".join(f", {name}={_text(value)}" for name, value in self.changes)
        return f"{self.network} ({self.precision}, batch {self.batch_size}{changes})"

    @property
    def pipeline_row(self) -> str:
        """The row of training on the pipeline."""
        return f"{self.label} on the pipeline"

    @property
    def trainer_settings(self) -> dict[str, Any]:
        """Settings of the trainer that this task fixes."""
        return {"batch_size": self.batch_size} | PRECISIONS[self.precision] | dict(self.changes)

    def rate(self, what: str) -> float | None:
        """`ours` of the earlier row `what`; None if it was not measured."""
        return next((row.ours for row in self.earlier if row.what == what), None)

    def to_json(self) -> dict[str, Any]:
        """All attributes, for `from_json`."""
        return json.loads(json.dumps(dataclasses.asdict(self), default=str))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """The inverse of `to_json`."""
        sizes = {name: _tuple(value) for name, value in values["settings"].items()}
        for name in ("work_dir", "input_dir"):
            sizes[name] = None if sizes[name] is None else pathlib.Path(sizes[name])
        rows = ({"target": "", "reached": None} | row for row in values["earlier"])
        changes = tuple(tuple(change) for change in values["changes"])
        return cls(
            **values
            | {"settings": Settings(**sizes), "changes": changes}
            | {"earlier": tuple(map(Row.from_json, rows))}
        )


@dataclasses.dataclass(frozen=True)
class Result:
    """What a section found.

    Attributes:
      rows: rows of the table.
      facts: what is no row, such as versions.
      failed: why the section counts as failed although it ended; empty if it does not.
    """

    rows: tuple[Row, ...] = ()
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    failed: str = ""

    @classmethod
    def read(cls, path: pathlib.Path) -> Result:
        """The result in a file; an empty one if the section wrote none."""
        if not path.exists():
            return cls()
        values = json.loads(path.read_text())
        rows = tuple(map(Row.from_json, values["rows"]))
        return cls(rows, values["facts"], values["failed"])


class Report:
    """Collects a section's result in its file.

    Args:
      path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._path, self._result = path, Result()

    def row(self, row: Row) -> None:
        """Adds a row."""
        self._write(rows=(*self._result.rows, row))

    def facts(self, **facts: Any) -> None:
        """Adds facts."""
        self._write(facts=self._result.facts | facts)

    def failed(self, why: str) -> None:
        """Marks the section as failed."""
        self._write(failed=why)

    def _write(self, **changes: Any) -> None:
        self._result = dataclasses.replace(self._result, **changes)
        rows = [row.to_json() for row in self._result.rows]
        values = {"rows": rows, "facts": self._result.facts, "failed": self._result.failed}
        write_json(self._path, values)


def run_section(measure: Callable[[Task, Report], None]) -> None:
    """Runs a section with the files that this process's command line names."""
    task, result = sys.argv[1:]
    measure(Task.from_json(json.loads(pathlib.Path(task).read_text())), Report(result))


def _text(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
