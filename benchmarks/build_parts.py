"""What each part of the build engine is worth: the build with it, and with the plain way instead.

    python -m benchmarks.build_parts [--products=150000] [--repeats=3] [--work_dir=DIR]

Every variant builds the same files in a fresh process, in turns, as in `benchmarks.build`. A plain
way takes the place of a module in all processes of the build, by a `sitecustomize` that Python
imports as it starts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.build import WAYS, measure_build
from benchmarks.data import competition, num_bytes
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from cdisc_tfds.machine import num_cores

# Module -> a plain module in its place.
PLAIN = {
    "arena": """
class Arena:
    def keep(self, *pieces):
        return b"".join(pieces)
    def clear(self):
        pass
def process_arena():
    return Arena()
def free_process_arena():
    pass
""",
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
    """Python processes started meanwhile have the plain way in place of a module of the build."""
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


def _measured(
    manual_dir: pathlib.Path, reread: bool, plain: str | None
) -> tuple[float, float, float]:
    """(seconds, peak bytes, load average before)."""
    load = os.getloadavg()[0]
    with without(plain):
        seconds, peak = measure_build(manual_dir, num_processes=num_cores(), reread=reread)
    return seconds, peak, load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=150_000, help="of both splits")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--input_dir", type=pathlib.Path, help="a competition's files")
    parser.add_argument("--work_dir", type=pathlib.Path, help="keep what is made there")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cdiscount-benchmarks-") as folder:
        work_dir = (flags.work_dir or pathlib.Path(folder)).absolute()
        manual_dir = competition(Settings(work_dir, flags.input_dir), flags.products)
        runs = {
            f"{way}{f', without {plain}' if plain else ''}": (
                lambda reread=reread, plain=plain: _measured(manual_dir, reread, plain)
            )
            for way, reread in WAYS.items()
            for plain in (None, *PLAIN)
            if reread is False or plain != "arena"  # documents that are read again need no arena
        }
        results = take_turns("build parts", runs, flags.repeats)
        print(f"{flags.products:,} products, {num_bytes(manual_dir) / 1e9:.1f} GB; {flags.repeats}")
        print(f"{'':52} {'products/s':>11} {'least':>8} {'most':>8} {'GB':>5} {'load':>5}")
        for name, values in results.items():
            rates = sorted(flags.products / seconds for seconds, _, _ in values)
            peak = max(peak for _, peak, _ in values) / 1e9
            load = max(load for _, _, load in values)
            print(
                f"{name:52} {statistics.median(rates):11,.0f} {rates[0]:8,.0f} {rates[-1]:8,.0f} "
                f"{peak:5.2f} {load:5.1f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
