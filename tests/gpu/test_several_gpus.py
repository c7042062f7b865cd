"""Several GPUs learn what one learns, and go on after a kill as if undisturbed."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.accelerator import gpus
from tests.helpers.finished_runs import assert_same_run, weights_of
from trainer.runs.folder import RunFolder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        gpus() < 2,
        reason=f"needs two GPUs, and there are {gpus()}; tests/trainer/training/test_devices.py "
        "takes the processor for two devices",
    ),
]
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("two_gpus")
    command = [sys.executable, "-m", "tests.helpers.two_devices", str(folder), "GPU"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder


def test_two_gpus_learn_what_one_learns(folder):
    one, two = RunFolder(folder / "one"), RunFolder(folder / "two")
    for name, ours in weights_of(one, one.state.last).items():
        theirs = weights_of(two, two.state.last)[name]
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5, err_msg=name)
    for row, other in zip(one.history, two.history, strict=True):
        assert other.val_loss == pytest.approx(row.val_loss, rel=1e-4)


def test_a_run_killed_on_two_gpus_ends_bit_for_bit(folder):
    assert_same_run(RunFolder(folder / "resumed"), RunFolder(folder / "whole"))
