"""How fast the data set is built: against TFDS's own writer, and against copying the files.

    python -m benchmarks.build [--input_dir=DIR] [--products=50000] [--repeats=3] [--json=FILE]

--input_dir holds a competition's files (train.bson, test.bson, category_names.csv); without it the
generated sample is used. Its products are repeated under new ids until there are --products.

Every build runs in a process of its own, with TensorFlow imported and the input in the page cache
before the clock starts. Wall times are medians; kinds of run take turns, so that a busy machine
disturbs all alike. Memory is the peak of all processes together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import bson
import psutil

from cdisc_tfds.bson_file import read_documents

# The competition: products, and bytes of train.bson and test.bson.
FULL_PRODUCTS = 7_069_896 + 1_768_182
FULL_BYTES = 58.2e9 + 14.5e9

TARGETS = {"one process": 2.0, "all cores": 4.0, "copy": 2.0, "memory": 1.5}


def replicate(input_dir: pathlib.Path, output_dir: pathlib.Path, products: int) -> None:
    """Writes a competition with `products` products: the input's, again and again, with new ids."""
    shutil.copy(input_dir / "category_names.csv", output_dir)
    documents = {
        split: [document for _, _, document in read_documents(input_dir / f"{split}.bson")]
        for split in ("train", "test")
    }
    num_train = len(documents["train"])
    train = round(products * num_train / (num_train + len(documents["test"])))
    ids = itertools.count()
    for split, number in (("train", train), ("test", products - train)):
        with open(output_dir / f"{split}.bson", "wb") as file:
            for document in itertools.islice(itertools.cycle(documents[split]), number):
                file.write(bson.encode({**document, "_id": next(ids)}))


def build_once(manual_dir: str, data_dir: str, num_processes: int, stock_writer: bool) -> float:
    """Seconds that the writing of all splits takes in this process."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    import cdisc_tfds

    tf.constant(0)  # imports all of it
    tfds.disable_progress_bar()
    builder = cdisc_tfds.Builder(
        data_dir=data_dir, num_processes=num_processes, stock_writer=stock_writer
    )
    seconds = []
    generate_splits = builder._generate_splits

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        splits = generate_splits(*args)
        seconds.append(time.perf_counter() - start)
        return splits

    # The splits alone: both ways share the rest.
    builder._generate_splits = timed
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return seconds[0]


def measure_build(manual_dir: pathlib.Path, num_processes: int, stock_writer: bool) -> dict:
    """A build in a fresh process: its seconds, and the peak memory of it and its children."""
    with tempfile.TemporaryDirectory(dir=manual_dir.parent) as data_dir:
        call = f"build_once({str(manual_dir)!r}, {data_dir!r}, {num_processes}, {stock_writer})"
        process = subprocess.Popen(
            [sys.executable, "-c", f"from benchmarks.build import *; print({call})"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.05)
        output = process.stdout.read()
        if process.returncode:
            raise RuntimeError(f"The build failed: run {call} to see why.")
    return {"seconds": float(output.split()[-1]), "memory": peak}


def _memory(pid: int) -> int:
    """Bytes of a process and its children; what they share (libraries) counts once."""
    own, shared = 0, 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            memory = one.memory_info()
            own += memory.rss - memory.shared
            shared = max(shared, memory.shared)
    except psutil.Error:  # it has just ended
        return 0
    return own + shared


def measure_copy(manual_dir: pathlib.Path) -> float:
    """Seconds to copy the files and to sync the disk."""
    with tempfile.TemporaryDirectory(dir=manual_dir.parent) as target:
        files = [os.fspath(manual_dir / name) for name in ("train.bson", "test.bson")]
        os.sync()
        start = time.perf_counter()
        subprocess.run(["cp", *files, target], check=True)
        subprocess.run(["sync", "-f", target], check=True)
        return time.perf_counter() - start


def measure(manual_dir: pathlib.Path, repeats: int) -> dict[str, Any]:
    """Medians by kind of run."""
    kinds = {
        "all cores": (os.cpu_count() or 1, False),
        "one process": (1, False),
        "stock": (1, True),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in (*kinds, "copy")}
    memory = 0
    for _ in range(repeats):
        for kind, arguments in kinds.items():
            result = measure_build(manual_dir, *arguments)
            seconds[kind].append(result["seconds"])
            if kind == "all cores":
                memory = max(memory, result["memory"])
        seconds["copy"].append(measure_copy(manual_dir))
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {"seconds": medians, "memory_bytes": memory}


def rows(measured: dict[str, Any], products: int, num_bytes: int) -> Iterator[dict[str, Any]]:
    """One row a target."""
    seconds = measured["seconds"]
    for kind in ("all cores", "one process"):
        yield {
            "benchmark": f"build, {kind}",
            "peer": "TFDS's own writer",
            "unit": "products/s",
            "ours": products / seconds[kind],
            "theirs": products / seconds["stock"],
            "ratio": seconds["stock"] / seconds[kind],
            "target": f">= {TARGETS[kind]:.0f}",
            "reached": seconds["stock"] / seconds[kind] >= TARGETS[kind],
        }
    ratio = seconds["all cores"] / seconds["copy"]
    yield {
        "benchmark": "build, all cores",
        "peer": "cp and sync of the same bytes",
        "unit": "s",
        "ours": seconds["all cores"],
        "theirs": seconds["copy"],
        "ratio": ratio,
        "target": f"<= {TARGETS['copy']:.0f}",
        "reached": ratio <= TARGETS["copy"],
    }
    gigabytes = measured["memory_bytes"] / 1e9
    yield {
        "benchmark": f"build, memory at {products} products",
        "peer": "",
        "unit": "GB",
        "ours": gigabytes,
        "theirs": None,
        "ratio": None,
        "target": f"<= {TARGETS['memory']}",
        "reached": gigabytes <= TARGETS["memory"],
    }
    # Each byte is read and written twice, each product handled once: time grows with the bytes.
    yield {
        "benchmark": "projection to the full 72.7 GB, by bytes",
        "peer": "cp and sync, likewise",
        "unit": "min",
        "ours": seconds["all cores"] * FULL_BYTES / num_bytes / 60,
        "theirs": seconds["copy"] * FULL_BYTES / num_bytes / 60,
        "ratio": ratio,
        "target": "",
        "reached": None,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [f"{'':44} {'ours':>10} {'peer':>10}  {'unit':10} {'ratio':>6}  {'target':6}"]
    for row in results:
        theirs = "" if row["theirs"] is None else f"{row['theirs']:,.2f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        verdict = {True: "reached", False: "missed", None: ""}[row["reached"]]
        lines.append(
            f"{row['benchmark']:44} {row['ours']:>10,.2f} {theirs:>10}  {row['unit']:10} "
            f"{ratio:>6}  {row['target']:6} {verdict:8} {row['peer']}"
        )
    return "\n".join(lines)


def run(input_dir: pathlib.Path | None, products: int, repeats: int) -> list[dict[str, Any]]:
    """All rows. The files are made in the system's temporary folder (TMPDIR) and removed."""
    with tempfile.TemporaryDirectory(prefix="cdiscount-build-") as folder:
        manual_dir = pathlib.Path(folder) / "manual"
        manual_dir.mkdir()
        if input_dir is None:
            input_dir = pathlib.Path(folder) / "sample"
            command = [sys.executable, "-m", "cdisc_tfds.sample", f"--output_dir={input_dir}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        replicate(input_dir, manual_dir, products)
        num_bytes = sum((manual_dir / f"{s}.bson").stat().st_size for s in ("train", "test"))
        return list(rows(measure(manual_dir, repeats), products, num_bytes))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input_dir", type=pathlib.Path)
    parser.add_argument("--products", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="also write the rows there")
    flags = parser.parse_args(argv)
    results = run(flags.input_dir, flags.products, flags.repeats)
    print(table(results))
    if flags.json:
        flags.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
