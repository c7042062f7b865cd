"""`python -m benchmarks.gpu --short` from end to end."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check(tmp_path_factory) -> tuple[str, dict]:
    """(what the command printed, its JSON)."""
    path = tmp_path_factory.mktemp("gpu") / "new" / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--short", f"--json={path}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, json.loads(path.read_text())


def test_every_section_is_measured(check):
    out, result = check
    assert {one["name"]: one["status"] for one in result["sections"]} == {
        name: "measured"
        for name in (
            *("versions", "data", "tests", "solution1_1 (float32, batch 20)"),
            *("decoding with tf", "decoding with dali", "peer: keras", "peer: torch"),
        )
    }
    assert all(row["what"] in out for row in result["rows"])


def test_the_machine_is_described(check):
    out, result = check
    assert result["libraries"]["tensorflow"] == tf.__version__
    assert result["machine"]["cores"] >= 1
    assert len(result["gpus"]) == len(tf.config.list_physical_devices("GPU"))
    assert ("No GPU: TensorFlow sees none" in out) == (not result["gpus"])


def test_the_rows_fit_together(check):
    """Rates are of the same pictures and network; an epoch follows from the rate."""
    _, result = check
    rows = {(row["part"], row["what"], row["peer"]): row for row in result["rows"]}
    label = "solution1_1 (float32, batch 20)"
    pipeline = rows["network", f"{label} on the pipeline", "one batch in memory"]
    assert pipeline["ours"] > 0 and pipeline["theirs"] > 0
    assert pipeline["ratio"] == pytest.approx(pipeline["ours"] / pipeline["theirs"])
    fit = "keras.Model.fit on image_dataset_from_directory"
    peer = rows["peer", f"{label} on the pipeline", fit]
    assert peer["ours"] == pipeline["ours"] and peer["theirs"] > 0
    hours = rows["epoch", f"12,371,293 pictures with {label}", ""]["ours"]
    assert hours * 3600 * pipeline["ours"] == pytest.approx(12_371_293)
    [tests] = [row for row in result["rows"] if row["part"] == "tests"]
    assert tests["ours"] == 0 and " 0 passed" not in tests["what"]
    first = rows["network", f"{label}: time to the first step", ""]
    assert first["ours"] > 0
