"""A batch that does not fit in the device's memory: a clear error that says what to do."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.helpers.accelerator import gpus

pytestmark = pytest.mark.gpu

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("xla", ["off", *(["on"] if gpus() else [])])
def test_a_batch_that_is_too_large_is_explained(tmp_path, xla):
    command = [sys.executable, "-m", "tests.helpers.too_large", str(tmp_path), xla]
    # The helper limits the GPU's memory itself, which does not go with growing it.
    environment = {
        name: value for name, value in os.environ.items() if name != "TF_FORCE_GPU_ALLOW_GROWTH"
    }
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1, result.stderr
    assert "Error: A batch must fit in the device's memory" in result.stderr
    assert "Received: 64 pictures of" in result.stderr
    assert "Try --micro_batch=32" in result.stderr
    assert "Traceback" not in result.stderr
