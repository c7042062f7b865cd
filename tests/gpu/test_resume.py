"""The real command, killed on the device and started again, ends bit for bit as if undisturbed."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from cdisc_tfds.sample.competition import write_sample
from tests.helpers.finished_runs import assert_same_run
from trainer.runs.folder import RunFolder

pytestmark = pytest.mark.gpu

ROOT = pathlib.Path(__file__).parents[2]
BUILD = "import sys; from benchmarks.data import build; build(*sys.argv[1:])"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("resume")
    write_sample(folder / "sample", products=90, test_products=8, categories=8, image_size=48)
    command = [sys.executable, "-c", BUILD, str(folder / "sample"), str(folder / "data")]
    subprocess.run(command, check=True, cwd=ROOT)
    return folder / "data"


def started(data_dir: pathlib.Path, run_dir: pathlib.Path) -> subprocess.Popen:
    """Training in the settings that a user gets on this device, but short."""
    command = [sys.executable, "-m", "trainer.main", f"--data_dir={data_dir}"]
    command += [f"--run_dir={run_dir}", "--model=solution1_1", "--image_size=48", "--epochs=1"]
    command += ["--batch_size=8", "--checkpoint_steps=3", "--augment=flip_shift", "--colour=0.2"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def has_checkpoint(run_dir: pathlib.Path) -> bool:
    """Whether the newest checkpoint is within an epoch."""
    if not (run_dir / "state.json").exists():
        return False
    return RunFolder(run_dir).state.newest.position.step > 0


def test_a_killed_run_ends_bit_for_bit(data_dir, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    other = started(data_dir, undisturbed)  # meanwhile
    process = started(data_dir, killed)
    while process.poll() is None and not has_checkpoint(killed):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, stderr
    at = RunFolder(killed).state.newest.position
    assert at.epoch == 0 and at.step % 3 == 0
    for process in (started(data_dir, killed), other):
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    assert_same_run(RunFolder(killed), RunFolder(undisturbed))
