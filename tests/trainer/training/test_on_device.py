"""What a GPU does in the step, on a second logical processor in a process of its own."""

import json
import pathlib

import numpy as np
import pytest

from tests.helpers.finished_runs import assert_same_run, weights_of
from tests.helpers.programs import run_program
from trainer.runs.folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("second_processor")
    run_program("second_processor", folder)
    return folder


def test_batches_are_on_the_device_before_the_step(folder):
    assert json.loads((folder / "seen.json").read_text())["batch"] == ["CPU:1"]


def test_changes_in_the_step_are_those_of_the_pipeline(folder):
    assert_same_run(RunFolder(folder / "device"), RunFolder(folder / "pipeline"))


def test_dalis_pictures_need_not_return_to_the_host(folder):
    if not (folder / "dali").exists():
        pytest.skip("needs NVIDIA DALI and its TensorFlow plugin (`make dali`)")
    assert_same_run(RunFolder(folder / "dali"), RunFolder(folder / "pipeline"))


def test_several_steps_per_call_give_the_same_run_also_after_kills(folder):
    assert_same_run(RunFolder(folder / "several"), RunFolder(folder / "pipeline"))


@pytest.mark.parametrize("name", ["compiled", "update"])
def test_xla_changes_no_more_than_rounding(folder, name):
    compiled, plain = RunFolder(folder / name), RunFolder(folder / "plain")
    for name, ours in weights_of(plain, plain.state.last).items():
        theirs = weights_of(compiled, compiled.state.last)[name]
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4, err_msg=name)
    for row, other in zip(plain.history, compiled.history, strict=True):
        assert other.loss == pytest.approx(row.loss, rel=1e-4)
