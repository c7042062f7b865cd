"""Measures the gain of each part of the build engine: builds with it, and with a plain substitute.

    python -m benchmarks.build_parts [--products=150000] [--repeats=3] [--work_dir=DIR]

The variants take turns; each builds the same files in a fresh process, as in `benchmarks.build`.
They are the two ways of writing the shards, each complete and without `direct_writes` (past the
page cache). A `sitecustomize`, which Python imports at its start, puts a plain substitute in place
of the module in all processes of the build.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks.build import WAYS, measure_build
from benchmarks.data import competition, num_bytes
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from cdisc_tfds.machine import num_cores

# Module -> the code of its plain substitute.
PLAIN = {
    "direct_writes": """
def write_pieces(file, pieces):
    file.writelines(pieces)
""",
}
_SITECUSTOMIZE = """
import sys, types
module = types.ModuleType("cdisc_tfds.build.{name}")
exec({source!r}, module.__dict__)
sys.modules[module.__name__] = module
"""


@contextlib.contextmanager
def without(name: str | None) -> Iterator[None]:
    """Processes that start within the block use the plain substitute of the module `name`."""
    if name is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        code = _SITECUSTOMIZE.format(name=name, source=PLAIN[name])
        (pathlib.Path(folder) / "sitecustomize.py").write_text(code)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before


class _Build(NamedTuple):
    """The time and memory of one build, and the machine's load average before it."""

    seconds: float
    peak_bytes: int
    load: float


def _measured(manual_dir: pathlib.Path, reread: bool, plain: str | None) -> _Build:
    load = os.getloadavg()[0]
    with without(plain):
        seconds, peak = measure_build(manual_dir, num_processes=num_cores(), reread=reread)
    return _Build(seconds, peak, load)


def variants() -> dict[str, tuple[bool, str | None]]:
    """(`reread` of the build, the module to replace) by the variant's name in the table."""
    return {
        f"{way}, without {plain}" if plain else way: (reread, plain)
        for way, reread in WAYS.items()
        for plain in (None, *PLAIN)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Builds all variants and prints the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--products", type=int, default=150_000, help="of both splits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--input_dir", type=pathlib.Path, help="a competition's files")
    parser.add_argument("--work_dir", type=pathlib.Path, help="keep what is made there")
    flags = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="cdiscount-benchmarks-") as folder:
        work_dir = (flags.work_dir or pathlib.Path(folder)).absolute()
        manual_dir = competition(Settings(work_dir, flags.input_dir), flags.products)
        runs = {
            name: functools.partial(_measured, manual_dir, reread, plain)
            for name, (reread, plain) in variants().items()
        }
        results = take_turns("build parts", runs, flags.repeats)
        size = num_bytes(manual_dir) / 1e9
    print(f"{flags.products:,} products, {size:.1f} GB, {flags.repeats} builds of each variant:")
    print(_table(results, flags.products))
    return 0


def _table(results: Mapping[str, Sequence[_Build]], products: int) -> str:
    """One line per variant: the median, least and most products/s; the largest peak and load."""
    lines = [f"{'':52} {'products/s':>11} {'least':>8} {'most':>8} {'GB':>5} {'load':>5}"]
    for name, builds in results.items():
        rates = sorted(products / build.seconds for build in builds)
        peak = max(build.peak_bytes for build in builds) / 1e9
        load = max(build.load for build in builds)
        lines.append(
            f"{name:52} {statistics.median(rates):11,.0f} {rates[0]:8,.0f} {rates[-1]:8,.0f} "
            f"{peak:5.2f} {load:5.1f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
