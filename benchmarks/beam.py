"""Measures the build on Beam against the local one, with as many processes of this machine.

    python -m benchmarks.beam [--input_dir=DIR] [--build_products=150000]

Beam's own runner stands in for a cluster. It starts Python processes for each of the two stages,
which import Beam: a second row, of a few products, is about this start alone. A cluster starts them
on other machines. Both builds write sorted copies first, as a build on a cluster does; see
`benchmarks.build`. Six minutes on two cores.
"""

from __future__ import annotations

import functools
import statistics
import sys

from benchmarks.build import MERGED, measure_build
from benchmarks.data import competition
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from cdisc_tfds.machine import num_cores

_FEW = 1000


def run(settings: Settings) -> list[Row]:
    """The rows of the build on Beam."""
    large = _compared(settings, settings.build_products, settings.repeats)
    small = _compared(settings, _FEW, 1)
    cost, start = (
        statistics.median(seconds["beam"]) - statistics.median(seconds["local"])
        for seconds in (large, small)
    )
    note = (
        f"Beam costs {cost:.1f} s here, {start:.1f} s of them also with {_FEW:,} products: the "
        "start of its processes, twice. Its workers are on the same cores as the local build's; "
        "those of a cluster are not"
    )
    return [_row(settings.build_products, large, note), _row(_FEW, small, "")]


def _compared(settings: Settings, products: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of the build of so many products: on Beam, and local."""
    manual_dir = competition(settings, products)
    cores = num_cores()
    options = (
        "runner=DirectRunner",
        "direct_running_mode=multi_processing",
        f"direct_num_workers={cores}",
    )
    build = functools.partial(measure_build, manual_dir, num_processes=cores, reread=False)
    results = take_turns("beam", {"beam": lambda: build(beam=options), "local": build}, repeats)
    return {kind: [seconds for seconds, _ in values] for kind, values in results.items()}


def _row(products: int, seconds: dict[str, list[float]], note: str) -> Row:
    what = f"build on Beam, {num_cores()} processes, {products:,} products"
    peer = f"the local build, {MERGED}"
    return compare("beam", what, peer, "s", seconds["beam"], seconds["local"], note=note)


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="beam"))
