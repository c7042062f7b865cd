"""Tests and measures training on this machine's GPU, in at most some minutes.

    python -m benchmarks.gpu [--json=FILE] [--minutes=9] [--networks=inception,cnn] [--short]

Each section runs in a process of its own, most valuable first; what does not fit into the time is
listed as not measured. After each section the results so far are printed, and --json is written.
Without a GPU the same sections run on the processor, with small sizes. See docs/gpu.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fnmatch
import os
import pathlib
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_check.conclusions import advice, projections
from benchmarks.gpu_check.plan import NETWORKS, Section, sections, sizes
from benchmarks.gpu_check.running import FAILED, MEASURED, NOT_MEASURED, Outcome, RunningSection
from benchmarks.gpu_check.task import Task
from benchmarks.settings import Settings
from benchmarks.table import Row, table
from cdisc_tfds.whole_files import write_json

_DATA_SECONDS = 300.0  # the others wait no longer for the data
_NO_GPU = (
    "No GPU: TensorFlow sees none. The same sections run on the processor with small sizes, to "
    "check the command itself; the figures say nothing about a GPU."
)


class Check:
    """Runs the sections, prints them, and keeps the JSON file up to date.

    Args:
      flags: the command line.
      work_dir: folder for data and logs.
    """

    def __init__(self, flags: argparse.Namespace, work_dir: pathlib.Path):
        self._flags, self._work_dir = flags, work_dir
        self._began = time.monotonic()
        self._outcomes: list[Outcome] = []
        self._facts: dict[str, Any] = {}

    def run(self) -> int:
        """Measures everything; returns the exit status."""
        versions = self._start("versions", "versions", Task(Settings(self._work_dir)))
        self._add(versions.wait(self._left()))
        gpus = self._facts.get("gpus") or []
        print(_described(self._facts), flush=True)
        short = self._flags.short
        settings = sizes(self._work_dir, self._flags.input_dir, bool(gpus), short)
        base = Task(settings, batch_size=20, torch_python=self._flags.torch_python)
        networks = self._flags.networks or (("solution1_1",) if short else NETWORKS)
        planned = sections(base, networks, bool(gpus), short)
        asked = [one for one in planned if self._is_asked_for(one.name)]
        # Meanwhile the tests run, which are no timing and need no data.
        data = self._start("data", "prepare", base)
        try:
            tests = [section for section in asked if section.module == "tests"]
            for section in tests:
                self._measure(section)
            self._add(data.wait(min(self._left(), _DATA_SECONDS)))
        finally:
            data.kill()
        for section in asked:
            if section not in tests:
                self._measure(section)
        return self._conclude()

    def _measure(self, section: Section) -> None:
        """Runs one section, if there is time for it."""
        left = self._left()
        if left < section.cost:
            reason = f"{left:.0f} s were left, and it takes about {section.cost:.0f} s"
            self._add(Outcome(section.name, NOT_MEASURED, reason=reason))
            return
        task = dataclasses.replace(section.task, seconds_left=left, earlier=tuple(self._rows()))
        running = self._start(section.name, section.module, task)
        try:
            self._add(running.wait(min(left, section.limit)))
        finally:
            running.kill()

    def _start(self, name: str, module: str, task: Task) -> RunningSection:
        number = f"{os.getpid()}-{len(self._outcomes):02d}-{module}"
        return RunningSection(name, module, task, self._work_dir / "sections" / number)

    def _add(self, outcome: Outcome) -> None:
        """Prints a section's outcome, and writes all so far."""
        self._outcomes.append(outcome)
        self._facts |= outcome.result.facts
        if outcome.output:
            print(f"--- {outcome.name}: its output\n{outcome.output}\n---")
        reason = f": {outcome.reason}" if outcome.reason else ""
        print(
            f"\n[{time.monotonic() - self._began:.0f} s] {outcome.name}, {outcome.status}{reason}"
        )
        if outcome.result.rows:
            print(table(outcome.result.rows))
        sys.stdout.flush()
        self._write()

    def _conclude(self) -> int:
        rows = [*self._rows(), *projections(self._rows())]
        print(f"\n{table(rows)}\n" if rows else "")
        for line in advice(rows, bool(self._facts.get("gpus"))):
            print(f"MISSED {line}")
        for outcome in self._outcomes:
            if outcome.status != MEASURED:
                print(f"{outcome.status.upper()} {outcome.name}: {outcome.reason}")
        print(f"{(time.monotonic() - self._began) / 60:.1f} minutes.", flush=True)
        self._write()
        return 1 if any(outcome.status == FAILED for outcome in self._outcomes) else 0

    def _write(self) -> None:
        if self._flags.json is None:
            return
        rows = [*self._rows(), *projections(self._rows())]
        now = datetime.datetime.now(datetime.timezone.utc)
        self._flags.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            self._flags.json,
            {
                "date": now.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - self._began, 1),
                **self._facts,
                "sections": [
                    {
                        "name": outcome.name,
                        "status": outcome.status,
                        "seconds": round(outcome.seconds, 1),
                        "reason": outcome.reason,
                    }
                    for outcome in self._outcomes
                ],
                "rows": [row.to_json() for row in rows],
                "advice": advice(rows, bool(self._facts.get("gpus"))),
            },
        )

    def _rows(self) -> list[Row]:
        return [row for outcome in self._outcomes for row in outcome.result.rows]

    def _left(self) -> float:
        return 60 * self._flags.minutes - (time.monotonic() - self._began)

    def _is_asked_for(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self._flags.only)


def _described(facts: dict[str, Any]) -> str:
    """The machine in a few lines; the first says which GPU."""
    gpus = facts.get("gpus")
    if gpus is None:
        return "Which devices there are is not known: the section `versions` failed."
    lines = [
        f"GPU: {gpu['name']}, compute capability {gpu['compute_capability']}" for gpu in gpus
    ] or [_NO_GPU]
    for group in ("machine", "libraries"):
        lines += [f"  {name}: {value or 'not installed'}" for name, value in facts[group].items()]
    return "\n".join([*lines, f"  devices: {', '.join(facts['devices'])}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the command line, and measures; returns the exit status."""
    flags = _parse(argv)
    # As after Ctrl-C, the running section ends too, and the data are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if flags.work_dir is not None:
        return Check(flags, flags.work_dir.absolute()).run()
    with tempfile.TemporaryDirectory(prefix="cdiscount-gpu-") as folder:
        return Check(flags, pathlib.Path(folder)).run()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit (9)")
    parser.add_argument(
        "--networks", type=_names, help=f"networks, separated by commas ({','.join(NETWORKS)})"
    )
    parser.add_argument(
        "--short", action="store_true", help="sizes that only show that the command works"
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=("*",),
        help="sections, separated by commas, with * for any text: 'tests,inception*'",
    )
    parser.add_argument(
        "--input_dir", type=pathlib.Path, help="a competition's files; default: a generated sample"
    )
    parser.add_argument(
        "--work_dir", type=pathlib.Path, help="keep data and logs there, to use the data again"
    )
    parser.add_argument(
        "--torch_python", default=sys.executable, help="the Python that has PyTorch (this one)"
    )
    return parser.parse_args(argv)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    sys.exit(main())
