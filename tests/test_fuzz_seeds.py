"""Inputs that fuzzing starts from or once failed on, and a short run of the fuzzer itself."""

import gc
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from tests.fuzz.targets import TARGETS

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = pathlib.Path(__file__).parent / "fuzz" / "seeds"
SEEDS = [(name, path) for name in TARGETS for path in sorted((FOLDER / name).iterdir())]


@pytest.mark.parametrize(("target", "seed"), SEEDS, ids=lambda value: getattr(value, "name", value))
def test_seed(target, seed):
    TARGETS[target](seed.read_bytes())


def test_there_are_seeds():
    assert {name for name, _ in SEEDS} == set(TARGETS)
    assert len(SEEDS) >= 12


@pytest.mark.torture
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the extra [fuzz]")
@pytest.mark.parametrize("target", TARGETS)
def test_minutes_of_fuzzing(target, tmp_path, capsys):
    """FUZZ_SECONDS (180) of each target, from the seeds on; a minute a process."""
    runs, coverage = 0, []
    seconds = int(os.environ.get("FUZZ_SECONDS", "180"))
    for begin in range(0, seconds, 60):
        result = _fuzz(target, tmp_path, min(60, seconds - begin))
        assert result.returncode == 0, result.stderr[-3000:]
        runs += int(re.search(r"number_of_executed_units: (\d+)", result.stderr)[1])
        coverage += re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", result.stderr)
    with capsys.disabled():
        print(
            f"\nfuzzing {target}: {runs:,} inputs in {seconds} s, no failure; edges, features, "
            f"corpus: {', '.join(coverage[0])} at the start, {', '.join(coverage[-1])} at the end"
        )
    assert runs > 1000


def _fuzz(target, corpus, seconds):
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.fuzz", target),
            *(f"-max_total_time={seconds}", "-print_final_stats=1"),
            *(f"-artifact_prefix={corpus}/failed-", corpus, FOLDER / target),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_memory_does_not_grow():
    """Thousands of damaged files leave nothing behind, and none takes more than its size."""
    random = np.random.default_rng(0)
    seeds = [path.read_bytes() for target, path in SEEDS if target == "bson"]
    files = [bytearray(seed) for seed in seeds if len(seed) > 30]

    def damaged():
        data = files[random.integers(len(files))].copy()
        for _ in range(random.integers(1, 6)):
            data[random.integers(len(data))] = random.choice([0, 3, 5, 16, 255])
        return bytes(data)

    for _ in range(200):  # what is made once: caches, buffers
        TARGETS["bson"](damaged())
    gc.collect()
    tracemalloc.start()
    for _ in range(1000):
        TARGETS["bson"](damaged())
    gc.collect()
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 200_000
    assert peak < 5_000_000  # the windows and blocks of one file, and garbage of several
