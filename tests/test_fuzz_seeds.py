"""Inputs that fuzzing starts from or once failed on, and a short run of the fuzzer itself."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

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
    """FUZZ_SECONDS (180) of each target, from the seeds on."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.fuzz", target),
            f"-max_total_time={os.environ.get('FUZZ_SECONDS', '180')}",
            "-print_final_stats=1",
            f"-artifact_prefix={tmp_path}/",
            tmp_path,
            FOLDER / target,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    (done,) = re.findall(r"Done (\d+) runs in (\d+) second", result.stderr)
    coverage = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", result.stderr)
    with capsys.disabled():
        print(
            f"\nfuzzing {target}: {int(done[0]):,} inputs in {done[1]} s, no failure; edges, "
            f"features, corpus: {coverage[0]} at the start, {coverage[-1]} at the end"
        )
    assert int(done[0]) > 1000
