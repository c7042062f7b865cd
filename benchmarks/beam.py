"""Measures the build on Beam against the local one, with as many processes of this machine.

    python -m benchmarks.beam [--input_dir=DIR] [--build_products=150000]

Beam's own runner stands in for a cluster. The difference is what Beam costs: it starts Python
processes for each of the two stages, which import Beam. A cluster starts them on other machines.
Both builds write sorted copies first, as a build on a cluster does; see `benchmarks.build`.
"""

from __future__ import annotations

import functools
import sys

from benchmarks.build import MERGED, measure_build
from benchmarks.data import competition
from benchmarks.measure import take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from cdisc_tfds.machine import num_cores

_NOTE = (
    "Beam starts its processes twice, which takes as long whatever the data. A limit of this "
    "machine, not of the build: its workers are on the same cores"
)


def run(settings: Settings) -> list[Row]:
    """The row of the build on Beam."""
    manual_dir = competition(settings, settings.build_products)
    cores = num_cores()
    options = (
        "runner=DirectRunner",
        "direct_running_mode=multi_processing",
        f"direct_num_workers={cores}",
    )
    build = functools.partial(measure_build, manual_dir, num_processes=cores, reread=False)
    results = take_turns(
        "beam", {"beam": lambda: build(beam=options), "local": build}, settings.repeats
    )
    seconds = {kind: [value[0] for value in values] for kind, values in results.items()}
    what = f"build on Beam, {cores} processes, {settings.build_products:,} products"
    peer = f"the local build, {MERGED}"
    return [compare("beam", what, peer, "s", seconds["beam"], seconds["local"], note=_NOTE)]


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="beam"))
