"""Measures the speed of the build against TFDS's own writer, and against copying the files.

    python -m benchmarks.build [--input_dir=DIR] [--build_products=150000]

Each build runs in its own process, which imports TensorFlow and reads the input into the page cache
before the clock starts. The clock covers only the writing of the splits; the two builds share the
rest. Memory is the total peak of all processes.

Each run starts after a few idle seconds, in which a virtual machine may return free memory to its
host. Right after another run, which has just freed a lot of memory, the same copy is up to ten
times as fast.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.data import SPLITS, competition, num_bytes, without_room
from benchmarks.measure import memory_of, say, take_turns
from benchmarks.settings import Settings
from benchmarks.table import Row, compare
from cdisc_tfds.build.page_cache import stays_in_page_cache
from cdisc_tfds.machine import num_cores

# Bytes of the competition's train.bson and test.bson.
FULL_BYTES = 58.2e9 + 14.5e9

STOCK = "TFDS's stock writer"
COPY = "cp and sync of the same bytes"
_MEMORY_GB = 1.5
_IDLE_SECONDS = 6  # about as long as a build's imports take
# The two ways to build (`reread` of BuildOptions), by their names in the table.
REREAD, MERGED = "shards from the file itself", "sorted copies first"
WAYS = {REREAD: True, MERGED: False}
_ONE_RUN = (
    "one run, and the faster of two copies. Sorted copies of files that are larger than the page "
    "cache make the disk take every byte twice, and give it back twice"
)
_FLAT = 1.1  # two runs of the same build differ by up to a tenth


def build_once(
    manual_dir: str, data_dir: str, beam: Sequence[str] = (), **options: int | bool | None
) -> float:
    """Builds in this process and its children; returns the seconds to write all splits.

    Args:
      manual_dir: folder of the competition's files.
      data_dir: folder of the data set.
      beam: options of Beam's pipeline, to build with it.
      **options: options of the builder.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    import cdisc_tfds

    tf.constant(0)  # completes the lazy import
    tfds.disable_progress_bar()
    builder = cdisc_tfds.Builder(data_dir=data_dir, **options)
    seconds: list[float] = []

    def timed(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            start = time.perf_counter()
            result = write(*args)
            seconds.append(time.perf_counter() - start)
            return result

        return call

    # Time only the splits, because the two ways share the rest.
    builder._build = timed(builder._build)
    builder._build_with_tfds = timed(builder._build_with_tfds)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    if beam:
        from apache_beam.options.pipeline_options import PipelineOptions

        config.beam_options = PipelineOptions(flags=[f"--{option}" for option in beam])
    builder.download_and_prepare(download_config=config)
    return seconds[0]


def measure_build(
    manual_dir: pathlib.Path, **options: int | bool | Sequence[str] | None
) -> tuple[float, int]:
    """Builds in a fresh process; returns (seconds, peak bytes of that process and its children).

    Args:
      manual_dir: folder of the competition's files.
      **options: those of `build_once`.
    """
    _read_all(manual_dir)
    with tempfile.TemporaryDirectory(dir=manual_dir.parent) as data_dir:
        call = f"build_once({str(manual_dir)!r}, {data_dir!r}, **{options!r})"
        process = subprocess.Popen(
            [sys.executable, "-c", f"from benchmarks.build import *; print({call})"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            time.sleep(0.05)
        output = process.stdout.read()
        if process.returncode:
            raise RuntimeError(f"The build failed: run {call} to see why.")
    os.sync()  # its pending writes must not slow down the next run
    return float(output.split()[-1]), peak


def _read_all(manual_dir: pathlib.Path) -> None:
    """Reads the input into the page cache, as far as it fits."""
    for split in SPLITS:
        with open(manual_dir / f"{split}.bson", "rb") as file:
            while file.read(1 << 24):
                pass


def measure_copy(manual_dir: pathlib.Path) -> float:
    """Seconds to copy the files and to sync the disk."""
    _read_all(manual_dir)
    with tempfile.TemporaryDirectory(dir=manual_dir.parent) as target:
        files = [os.fspath(manual_dir / f"{split}.bson") for split in SPLITS]
        os.sync()
        time.sleep(_IDLE_SECONDS)
        start = time.perf_counter()
        subprocess.run(["cp", *files, target], check=True)
        subprocess.run(["sync", "-f", target], check=True)
        return time.perf_counter() - start


def run(settings: Settings) -> list[Row]:
    """The rows of the build."""
    products = settings.build_products
    manual_dir = competition(settings, products)
    cores = num_cores()
    build = functools.partial(measure_build, manual_dir)
    results = take_turns(
        "build",
        {
            "cores": lambda: build(num_processes=cores),
            "one": lambda: build(num_processes=1),
            "stock": lambda: build(stock_writer=True),
            "copy": lambda: measure_copy(manual_dir),
        },
        settings.repeats,
    )
    seconds = {kind: [value[0] for value in results[kind]] for kind in ("cores", "one", "stock")}
    return [
        *_against_stock(seconds, results["copy"], products, cores),
        compare("build", f"{cores} cores", COPY, "s", seconds["cores"], results["copy"], at_most=2),
        *_flat(settings),
    ]


def _against_stock(
    seconds: dict[str, list[float]], copy: list[float], products: int, cores: int
) -> list[Row]:
    rates = {kind: [products / value for value in values] for kind, values in seconds.items()}
    rows = [
        compare("build", what, STOCK, "products/s", rates[kind], rates["stock"], at_least=target)
        for what, kind, target in ((f"{cores} cores", "cores", 4), ("1 process", "one", 2))
    ]
    ours, disk = (statistics.median(values) for values in (seconds["cores"], copy))
    note = (
        f"{products:,} products took {ours:.1f} s, a copy of the same bytes {disk:.1f} s; with few "
        "products the start of the processes counts, which more of them do not shorten"
    )
    return [row if row.reached else dataclasses.replace(row, note=note) for row in rows]


def _flat(settings: Settings) -> list[Row]:
    """The rows of a small and a large build: their memory, and the large one's time both ways."""
    few, many = settings.flat_products
    if note := without_room(settings, many):
        return [Row("build", f"memory at {many:,} products", note=note)]
    small = _once_each_way(settings, few, copies=0)
    large = _once_each_way(settings, many, copies=2)
    rows = []
    for way, seconds in large.seconds.items():
        what = f"{many:,} products, {way}"
        peaks = [size.peak_gb[way] for size in (large, small)]
        rows += [
            Row("build", f"memory at {what}", unit="GB", ours=peaks[0], at_most=_MEMORY_GB),
            Row(
                "build",
                f"memory at {what}",
                f"{few:,} products",
                "GB",
                *peaks,
                peaks[0] / peaks[1],
                at_most=_FLAT,
            ),
            Row(
                "build",
                what,
                COPY,
                "s",
                seconds,
                large.copy,
                seconds / large.copy,
                at_most=2,
                note=_ONE_RUN,
            ),
        ]
    return [*rows, _projection(large)]


@dataclasses.dataclass(frozen=True)
class _Once:
    """One build each way, and copies, of the same files.

    Attributes:
      num_bytes: total size of the files.
      seconds, peak_gb: time and peak memory (in GB) of each way.
      copy: seconds of the fastest copy, or None without copies.
    """

    num_bytes: int
    seconds: dict[str, float]
    peak_gb: dict[str, float]
    copy: float | None


def _once_each_way(settings: Settings, products: int, copies: int) -> _Once:
    manual_dir = competition(settings, products)
    try:
        seconds, peaks = {}, {}
        copy = min((measure_copy(manual_dir) for _ in range(copies)), default=None)
        for way, reread in WAYS.items():
            say(f"build: {products:,} products, {way}")
            seconds[way], peak = measure_build(manual_dir, num_processes=num_cores(), reread=reread)
            peaks[way] = peak / 1e9
        return _Once(num_bytes(manual_dir), seconds, peaks, copy)
    finally:
        shutil.rmtree(manual_dir)  # gigabytes that no other part needs


def _projection(large: _Once) -> Row:
    """The projected time for the competition's files, built the way this machine would choose."""
    way = REREAD if stays_in_page_cache(FULL_BYTES) else MERGED
    scale = FULL_BYTES / large.num_bytes / 60
    return Row(
        "build",
        f"projection to the full {FULL_BYTES / 1e9:.1f} GB, {way}",
        COPY,
        "min",
        scale * large.seconds[way],
        scale * large.copy,
        note=(
            f"the times of {large.num_bytes / 1e9:.1f} GB multiplied by the bytes: whatever their "
            "number, each byte is read and written once or twice and each product handled once or "
            "twice. Files that do not fit in the page cache must come from the disk as well: its "
            "time for the bytes comes on top of both"
        ),
    )


if __name__ == "__main__":
    from benchmarks.run import main

    sys.exit(main(only="build"))
