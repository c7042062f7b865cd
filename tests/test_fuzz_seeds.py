"""Inputs that fuzzing starts from or once failed on, and a short run of the fuzzer itself."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from tests.fuzz.targets import check

SEEDS = sorted((pathlib.Path(__file__).parent / "fuzz" / "seeds").iterdir())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_seed(seed):
    check(seed.read_bytes())


def test_there_are_seeds():
    assert len(SEEDS) >= 8


@pytest.mark.torture
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs the extra [fuzz]")
def test_ten_minutes_of_fuzzing(tmp_path):
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.fuzz_bson",
            "-max_total_time=600",
            f"-artifact_prefix={tmp_path}/",
            tmp_path,
            SEEDS[0].parent,
        ],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
