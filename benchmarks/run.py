"""All benchmarks, or some: one table on the terminal, and as JSON.

    python -m benchmarks.run [--input_dir=DIR] [--only=build,input] [--json=FILE]
    python -m benchmarks.input                      # one part alone

--input_dir is a folder with a competition's files (train.bson, test.bson, category_names.csv); the
default is the generated sample. The benchmarks repeat its products under new ids to the sizes that
they need.

Each part runs in its own process. Within a part, the candidates take turns; the table shows the
medians, and the smallest and the largest ratio of one turn. Other work on the machine widens that
range; the ratios remain roughly valid, the rates do not.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import psutil

from benchmarks.measure import say
from benchmarks.settings import Settings
from benchmarks.table import Row, table
from cdisc_tfds.machine import num_cores

# In the order of the table.
PARTS = (
    "build",
    "beam",
    "input",
    "host_work",
    "steps",
    "workers",
    "precision",
    "inference",
    "serve",
    "start",
    "memory",
    "head",
)
_LIBRARIES = ("tensorflow", "keras", "tensorflow-datasets", "simplejpeg", "torch", "pillow")


class PartError(ValueError):
    """The requested part does not exist."""


def run_part(part: str, settings: Settings) -> list[Row]:
    """The rows of one part, measured in this process."""
    return importlib.import_module(f"benchmarks.{part}").run(settings)


def run_parts(parts: Sequence[str], settings: Settings) -> tuple[list[Row], list[str]]:
    """(rows, failed parts) of several parts, each measured in its own process.

    A failed part gets a row that says so; the others still run.
    """
    rows, failed = [], []
    for part in parts:
        say(f"{part}:")
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result = pathlib.Path(folder) / "rows.json"
            command = [sys.executable, "-m", "benchmarks.run", f"--only={part}"]
            command += [f"--json={result}", *_as_flags(settings)]
            status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
            if status:
                failed.append(part)
                note = f"failed with exit status {status}; its message is above"
                rows.append(Row(part, "all", note=note))
            else:
                values = json.loads(result.read_text())["rows"]
                rows += [Row.from_json(value) for value in values]
        say(f"{part} took {time.monotonic() - start:.0f} s")
    return rows, failed


def _as_flags(settings: Settings) -> list[str]:
    values = {name: _text(value) for name, value in dataclasses.asdict(settings).items()}
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def machine() -> dict[str, Any]:
    """The hardware and software that the figures depend on."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor()


def main(argv: Sequence[str] | None = None, only: str | None = None) -> int:
    """Parses the command line, measures, prints and writes the table; returns the exit status.

    Args:
      argv: the command line; None for that of this process.
      only: the parts to run if the command line does not name any.
    """
    flags = _parse(argv, only)
    unknown = sorted(set(flags.only) - set(PARTS))
    if unknown:
        raise PartError(
            f"--only must name parts of the benchmarks: {', '.join(PARTS)}. Received also: "
            f"{', '.join(unknown)}."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cdiscount-benchmarks-") as folder:
        settings = _settings(flags, pathlib.Path(folder))
        if len(flags.only) == 1:
            rows, failed = run_part(flags.only[0], settings), []
        else:
            rows, failed = run_parts(flags.only, settings)
    seconds = time.monotonic() - start
    print(table(rows))
    print(f"\n{seconds / 60:.1f} minutes; {_processor()}, {num_cores()} cores.")
    if flags.json:
        result = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "machine": machine(),
            "rows": [row.to_json() for row in rows],
        }
        flags.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if failed else 0


def _settings(flags: argparse.Namespace, folder: pathlib.Path) -> Settings:
    values = {field.name: getattr(flags, field.name) for field in dataclasses.fields(Settings)}
    return Settings(**values | {"work_dir": (flags.work_dir or folder).absolute()})


def _parse(argv: Sequence[str] | None, only: str | None) -> argparse.Namespace:
    defaults = Settings(pathlib.Path())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only",
        type=_names,
        default=(only,) if only else PARTS,
        help=f"parts, separated by commas: {', '.join(PARTS)}",
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the table there")
    parser.add_argument("--input_dir", type=pathlib.Path, help="a competition's files")
    parser.add_argument(
        "--work_dir",
        type=pathlib.Path,
        help="keep what is made there, to use it again; by default it is removed at the end",
    )
    for name, parse in (
        ("sample_products", int),
        ("repeats", int),
        ("seconds", float),
        ("build_products", int),
        ("flat_products", _numbers),
        ("products", int),
        ("memory_products", _numbers),
        ("head_products", int),
        ("weights", str),
        ("networks", _names),
        ("image_size", int),
        ("shuffle_buffer", int),
    ):
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name}", type=parse, default=default, help=f"see Settings ({_text(default)})"
        )
    return parser.parse_args(argv)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
